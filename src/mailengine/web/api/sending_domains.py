"""Sending domains over the API: in whose name the organisation sends, and whether the DNS says so."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, PathParameter

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.senders import domains
from mailengine.domain.senders.domains import DomainKeys
from mailengine.domain.senders.verdicts import Status
from mailengine.domain.senders.verification import records_of, verify
from mailengine.models import SendingDomain
from mailengine.web.api.rights import MANAGE
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Limit,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site

DomainName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=NO_NUL)]
OfDomain = Annotated[str, PathParameter(min_length=1, max_length=255, pattern=NO_NUL)]


class VerdictShape(msgspec.Struct):
    """What the DNS said about one record; `unknown` where no server answered; `found` is what was read."""

    status: Status
    words: str
    found: list[str]


class DomainShape(msgspec.Struct):
    """`checks` are of the last verification: spf, dkim, dmarc."""

    domain: str
    verified_at: datetime | None
    checked_at: datetime | None
    checks: dict[str, VerdictShape]
    created_at: datetime


class RecordShape(msgspec.Struct):
    """A record to publish; its type is TXT."""

    purpose: str
    name: str
    value: str
    note: str


class DomainDetail(DomainShape):
    """With the records to publish."""

    records: list[RecordShape]


class NewDomain(Given):
    """Like `example.org`; names in other scripts are stored as the DNS has them."""

    domain: DomainName


class SendingDomains(Controller):
    """In whose name the organisation sends, with the keys that sign."""

    path = "/sending-domains"
    tags = ("senders",)

    @get(**READ, summary="List the sending domains")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        verified: FromQuery[bool | None] = None,
    ) -> PageOf[DomainShape]:
        """By name; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await domains.list_domains(tx, caller, request=page, text=search or "", verified=verified)
        return page_of(found, domain_shape)

    @post(**MANAGE, **WRITE, summary="Add a sending domain")
    async def add(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewDomain]
    ) -> DomainDetail:
        """With a DKIM key of its own; publish its records, then verify it."""
        name, key = domains.check_domain(data.domain), await domains.new_key()
        async with site.rt.db.write(caller) as tx:
            now = site.rt.clock.now()
            added = await domains.add_domain(
                tx, caller, domain=name, key=key, keyring=site.rt.keyring, now=now
            )
            return await domain_detail(tx, caller, added)

    @get("/{domain:str}", **READ_ONE, summary="Get a sending domain and its records")
    async def get_domain(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], domain: OfDomain
    ) -> DomainDetail:
        async with site.rt.db.read(caller) as tx:
            return await domain_detail(tx, caller, await domains.get_domain(tx, caller, domain=domain))

    @post("/{domain:str}/verify", status_code=200, **MANAGE, **WRITE, summary="Verify a sending domain")
    async def verify(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], domain: OfDomain
    ) -> DomainShape:
        """Asks the DNS for SPF, DKIM and DMARC; `verified_at` is null until all are in place."""
        settings, now = site.rt.settings.dns, site.rt.clock.now()
        return domain_shape(
            (await verify(site.rt.db, caller, domain=domain, settings=settings, now=now)).domain
        )

    @delete("/{domain:str}", **MANAGE, **WRITE, summary="Remove a sending domain")
    async def remove(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], domain: OfDomain
    ) -> None:
        """Its keys go with it. 409 while a campaign that is under way sends from it."""
        async with site.rt.db.write(caller) as tx:
            await domains.remove(tx, caller, domain=domain, now=site.rt.clock.now())


def domain_shape(row: SendingDomain) -> DomainShape:
    return msgspec.convert(row.model_dump(), DomainShape)


async def domain_detail(tx: ReadTx, scope: Scope, found: DomainKeys) -> DomainDetail:
    records = await records_of(tx, scope, found)
    shown = [RecordShape(record.purpose, record.name, record.value, record.note) for record in records]
    return msgspec.convert({**found.domain.model_dump(), "records": shown}, DomainDetail)
