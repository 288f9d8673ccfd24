"""The kill switch, messages in doubt and dead letters over the API."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns import retry
from mailengine.domain.delivery import dead_letters, doubts, kill_switch
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.models import DeadLetter, EmailTask, KillSwitch
from mailengine.web.api.rights import SEND, SEND_AND_FRESH
from mailengine.web.api.shapes import (
    MAX_ID,
    NO_NUL,
    READ,
    READ_ONE,
    WRITE,
    Cursor,
    Given,
    Id,
    Limit,
    PageOf,
    Search,
    page_of,
    page_request,
)
from mailengine.web.site import Site

MAX_CHOSEN = 1000  # the audit log keeps the ids of one act in one entry
Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
Ids = Annotated[list[Number], msgspec.Meta(min_length=1, max_length=MAX_CHOSEN)]
CauseName = Annotated[str, msgspec.Meta(min_length=1, max_length=30, pattern=NO_NUL)]
Reason = Annotated[str, msgspec.Meta(max_length=kill_switch.MAX_REASON, pattern=NO_NUL)]
OfCampaign = Annotated[int | None, QueryParameter(name="campaign_id", ge=1, le=MAX_ID)]
OfCause = Annotated[str | None, QueryParameter(name="cause", min_length=1, max_length=30, pattern=NO_NUL)]


class SwitchShape(msgspec.Struct):
    """Who pressed it, when and why; `set_by` is like `user:3`, `key:7`, `cli`."""

    reason: str
    set_by: str
    set_at: datetime


class SwitchState(msgspec.Struct):
    """`stopped` says whether anything holds the sending: the organisation's own switch (`tenant`), or that of the
    installation, which only its operator can change."""

    stopped: bool
    tenant: SwitchShape | None
    installation: SwitchShape | None


class Stop(Given):
    """Why; shown wherever the switch is."""

    reason: Reason = ""


class DoubtShape(msgspec.Struct):
    """`reply` is the server's last words, or ours on how the connection ended."""

    id: int
    campaign_id: int
    contact_id: int
    email: str
    reply: str
    attempts: int
    at: datetime | None


class ChosenDoubts(Given):
    """Messages in doubt, as they are listed."""

    ids: Ids


class Verdict(StrEnum):
    """What a person found out: the server took it, or it never arrived."""

    SENT = "sent"
    FAILED = "failed"


class Settlement(Given):
    """What became of them; a message that failed becomes a dead letter."""

    ids: Ids
    verdict: Verdict


class Changed(msgspec.Struct):
    """How many messages it concerned."""

    changed: int


class LetterShape(msgspec.Struct):
    """A message that was given up; `code` (0: none), `enhanced` (RFC 3463) and `reply` are the server's."""

    id: int
    campaign_id: int
    contact_id: int
    email: str
    cause: str
    code: int
    enhanced: str
    reply: str
    attempts: int
    at: datetime


class Requeue(Given):
    """Those that fit all that is given; `all` for every dead letter there is."""

    ids: Ids | None = None
    cause: CauseName | None = None
    campaign_id: Number | None = None
    all: bool = False


class RequeuedShape(msgspec.Struct):
    """`kept` stay: their contacts cannot be mailed any more, or their campaign has ended."""

    requeued: int
    kept: int


class KillSwitches(Controller):
    """Stops all sending of the organisation at once, and lets it go on."""

    path = "/kill-switch"
    tags = ("delivery",)

    @get(**READ, summary="See what holds sending")
    async def see(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> SwitchState:
        async with site.rt.db.read(caller) as tx:
            return await switch_state(tx, caller)

    @put(**SEND_AND_FRESH, **WRITE, summary="Stop all sending")
    async def stop(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Stop]
    ) -> SwitchState:
        """Holds before the next message; what is queued stays queued. Again: the new reason, the old time."""
        async with site.rt.db.write(caller) as tx:
            await kill_switch.stop(tx, caller, reason=data.reason, now=site.rt.clock.now())
            return await switch_state(tx, caller)

    @delete(status_code=200, **SEND_AND_FRESH, **WRITE, summary="Let sending go on")
    async def resume(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> SwitchState:
        """No error when it was not on. Nothing is sent while the installation's switch holds."""
        async with site.rt.db.write(caller) as tx:
            await kill_switch.resume(tx, caller, now=site.rt.clock.now())
            return await switch_state(tx, caller)


class Doubts(Controller):
    """Messages whose end left for the wire and whose answer nobody read: never sent again unless you say so."""

    path = "/doubts"
    tags = ("delivery",)

    @get(**READ, summary="List messages in doubt")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        campaign: OfCampaign = None,
    ) -> PageOf[DoubtShape]:
        """Oldest first."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await doubts.list_doubts(tx, caller, campaign_id=campaign, request=page)
        return page_of(found, doubt_shape)

    @post("/settle", status_code=200, **SEND, **WRITE, summary="Say what became of messages in doubt")
    async def settle(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Settlement]
    ) -> Changed:
        """All of them or none: one that is not in doubt refuses the request."""
        accepted, now = data.verdict is Verdict.SENT, site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            return Changed(await doubts.settle(tx, caller, task_ids=data.ids, accepted=accepted, now=now))

    @post("/resend", status_code=200, **SEND, **WRITE, summary="Send messages in doubt again")
    async def resend(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[ChosenDoubts]
    ) -> Changed:
        """Who got the first one gets a second. All of them or none; their campaigns are under way again."""
        async with site.rt.db.write(caller) as tx:
            return Changed(await retry.resend(tx, caller, task_ids=data.ids, now=site.rt.clock.now()))


class DeadLetters(Controller):
    """Messages that were given up, with the server's words."""

    path = "/dead-letters"
    tags = ("delivery",)

    @get(**READ, summary="List dead letters")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        campaign: OfCampaign = None,
        of_cause: OfCause = None,
        search: Search = None,
    ) -> PageOf[LetterShape]:
        """Newest first; `search` looks into addresses and the server's words."""
        chosen = Chosen(campaign, of_cause, text=search or "")
        async with site.rt.db.read(caller) as tx:
            found = await dead_letters.list_letters(tx, caller, chosen, request=page_request(limit, cursor))
        return page_of(found, letter_shape)

    @get("/{letter_id:int}", **READ_ONE, summary="Get a dead letter")
    async def get_letter(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], letter_id: Id
    ) -> LetterShape:
        async with site.rt.db.read(caller) as tx:
            return letter_shape(await dead_letters.get_letter(tx, caller, letter_id=letter_id))

    @post("/requeue", status_code=200, **SEND, **WRITE, summary="Try dead letters again")
    async def requeue(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[Requeue]
    ) -> RequeuedShape:
        """A campaign that was sent is under way again."""
        some = (data.ids, data.cause, data.campaign_id)
        if data.all == any(given is not None for given in some):
            raise InvalidInput("say which: ids, cause, campaign_id, or all")
        async with site.rt.db.write(caller) as tx:
            chosen = Chosen(data.campaign_id, data.cause, data.ids)
            done = await retry.requeue(tx, caller, chosen, now=site.rt.clock.now())
        return RequeuedShape(done.requeued, done.kept)


async def switch_state(tx: ReadTx, scope: Scope) -> SwitchState:
    found = await kill_switch.of_tenant(tx, scope)
    mine, everybody = (switch_shape(row) for row in (found.tenant, found.instance))
    return SwitchState(mine is not None or everybody is not None, mine, everybody)


def switch_shape(row: KillSwitch | None) -> SwitchShape | None:
    return None if row is None else SwitchShape(row.reason, row.set_by, row.set_at)


def doubt_shape(row: EmailTask) -> DoubtShape:
    assert row.id is not None
    return DoubtShape(
        row.id, row.campaign_id, row.contact_id, row.email, row.last_reply, row.attempts, row.finished_at
    )


def letter_shape(row: DeadLetter) -> LetterShape:
    return msgspec.convert(row.model_dump(), LetterShape)
