"""Relays, the servers that take the mail, over the API.

Invariant: a relay's password goes in and never comes out, nor is it in an error or a log.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.domain.delivery.smtp import ProbeReport
from mailengine.domain.delivery.trial import try_relay
from mailengine.domain.senders import relays
from mailengine.domain.senders.relays import RelayChanges, RelayDetails
from mailengine.mail.address import parse_address
from mailengine.models import Relay, RelayAuth, RelayKind, Tls
from mailengine.web.api.rights import MANAGE
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Email,
    Given,
    Id,
    Limit,
    PageOf,
    Search,
    page_of,
    page_request,
    problems,
)
from mailengine.web.counting import count_test
from mailengine.web.session import instance_of
from mailengine.web.site import Site

RelayName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NUL)]
Host = Annotated[str, msgspec.Meta(max_length=253, pattern=NO_NUL)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=1000)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Username = Annotated[str, msgspec.Meta(max_length=320, pattern=NO_NUL)]
Secret = Annotated[str, msgspec.Meta(max_length=4000, pattern=NO_NUL)]


class RelayShape(msgspec.Struct):
    """A way for the mail: a server (`smtp`), or straight to the recipients' own (`direct`, without host). `trouble`
    says why it was left alone at `trouble_at`; both are empty once it has taken a message again."""

    id: int
    name: str
    kind: RelayKind
    host: str
    port: int
    tls: Tls
    auth: RelayAuth
    username: str
    helo: str
    source_address: str
    priority: int
    weight: int
    enabled: bool
    trouble: str
    trouble_at: datetime | None
    created_at: datetime


class NewRelay(Given):
    """`smtp` needs a host, and both username and password or neither; with `xoauth2` the password is an access token.
    `direct` needs `helo` alone, the name that this machine greets with. Priority 0 comes first, the next one takes
    over in trouble; of the same priority each gets its weight's share."""

    name: RelayName
    kind: RelayKind = RelayKind.SMTP
    host: Host = ""
    port: Port = 587
    tls: Tls = Tls.STARTTLS
    auth: RelayAuth = RelayAuth.PASSWORD
    username: Username = ""
    password: Secret = ""
    helo: Host = ""
    source_address: Host = ""
    priority: Priority = 0
    weight: Weight = 1


class RelayChange(Given):
    """What is left out stays; a server's address cannot be changed: add another relay."""

    priority: Priority | None = None
    weight: Weight | None = None
    enabled: bool | None = None
    password: Secret | None = None


class Trial(Given):
    """Without addresses only the connection and the login are tried; with both also one message."""

    sender: Email | None = None
    recipient: Email | None = None


class TrialStep(msgspec.Struct):
    """One step, and the server's words or ours."""

    name: str
    ok: bool
    words: str


class TrialShape(msgspec.Struct):
    """What the server offered, and how far it went."""

    ok: bool
    greeting: str
    tls_version: str | None
    auth_methods: list[str]
    steps: list[TrialStep]


class Relays(Controller):
    """The servers that take the mail."""

    path = "/relays"
    tags = ("senders",)

    @get(**READ, summary="List the relays")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        enabled: FromQuery[bool | None] = None,
    ) -> PageOf[RelayShape]:
        """By name; `search` looks into names and hosts."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await relays.list_relays(tx, caller, request=page, text=search or "", enabled=enabled)
        return page_of(found, relay_shape)

    @post(**MANAGE, **WRITE, summary="Add a relay")
    async def add(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewRelay]
    ) -> RelayShape:
        """The password is sealed and never shown again. Test it."""
        details = details_of(data)
        async with site.rt.db.write(caller) as tx:
            now = site.rt.clock.now()
            return relay_shape(
                await relays.add(tx, caller, details=details, keyring=site.rt.keyring, now=now)
            )

    @get("/{relay_id:int}", **READ_ONE, summary="Get a relay")
    async def get_relay(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], relay_id: Id
    ) -> RelayShape:
        async with site.rt.db.read(caller) as tx:
            return relay_shape(await relays.get_by_id(tx, caller, relay_id=relay_id))

    @patch("/{relay_id:int}", **MANAGE, **WRITE, summary="Change a relay")
    async def change(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        relay_id: Id,
        data: JSONBody[RelayChange],
    ) -> RelayShape:
        """Workers take it up with their next claim, a password with their next connections."""
        changes, now = RelayChanges(data.priority, data.weight, data.enabled), site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            relay = await relays.get_by_id(tx, caller, relay_id=relay_id)
            if changes != RelayChanges() or data.password is None:
                await relays.update(tx, caller, name=relay.name, changes=changes, now=now)
            if data.password is not None:
                await relays.replace_password(
                    tx, caller, name=relay.name, password=data.password, keyring=site.rt.keyring, now=now
                )
            return relay_shape(relay)

    @post(
        "/{relay_id:int}/test",
        status_code=200,
        **MANAGE,
        responses=problems(404, 413, 422, 429),
        summary="Test a relay",
    )
    async def test(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        relay_id: Id,
        data: JSONBody[Trial],
    ) -> TrialShape:
        """Answered 200 also when the server fails: `ok` and `steps` say where. Twenty an hour."""
        async with site.rt.db.read(caller) as tx:
            name = (await relays.get_by_id(tx, caller, relay_id=relay_id)).name
        if (data.sender is None) != (data.recipient is None):
            raise InvalidInput("a test message needs both its sender and its recipient")
        author, recipient = (parse_address(text) if text else None for text in (data.sender, data.recipient))
        await count_test(site.rt, instance_of(caller), tenant_id=caller.tenant_id)
        report = await try_relay(
            site.rt.db,
            caller,
            name=name,
            keyring=site.rt.keyring,
            settings=site.rt.settings,
            author=author,
            recipient=recipient,
            now=site.rt.clock.now(),
        )
        return trial_shape(report)

    @delete("/{relay_id:int}", **MANAGE, **WRITE, summary="Remove a relay")
    async def remove(self, site: NamedDependency[Site], caller: NamedDependency[Scope], relay_id: Id) -> None:
        """409 while a campaign that is under way needs it."""
        async with site.rt.db.write(caller) as tx:
            name = (await relays.get_by_id(tx, caller, relay_id=relay_id)).name
            await relays.remove(tx, caller, name=name, now=site.rt.clock.now())


def details_of(data: NewRelay) -> RelayDetails:
    """Raises InvalidInput for what does not belong together."""
    if data.kind is RelayKind.DIRECT:
        if data.host or data.username or data.password:
            raise InvalidInput("a direct way has no host and no login; give helo alone")
        return relays.check_direct(
            name=data.name,
            helo=data.helo,
            source_address=data.source_address,
            priority=data.priority,
            weight=data.weight,
        )
    if data.helo or data.source_address:
        raise InvalidInput("helo and source_address are of a direct way; leave them out")
    return relays.check_relay(
        name=data.name,
        host=data.host,
        port=data.port,
        tls=data.tls,
        username=data.username,
        password=data.password,
        priority=data.priority,
        weight=data.weight,
        auth=data.auth,
    )


def relay_shape(row: Relay) -> RelayShape:
    return msgspec.convert(row.model_dump(exclude={"password_sealed"}), RelayShape)


def trial_shape(report: ProbeReport) -> TrialShape:
    steps = [TrialStep(step.name, step.ok, step.words) for step in report.steps]
    return TrialShape(report.ok, report.greeting, report.tls_version, list(report.auth_methods), steps)
