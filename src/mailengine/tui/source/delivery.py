"""Delivery: relays, limits, warm-ups, messages in doubt, dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailengine.core.paging import Page, PageRequest
from mailengine.domain.campaigns import retry
from mailengine.domain.delivery import dead_letters, doubts, reputation
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.domain.delivery.limits import quiet_hours
from mailengine.domain.delivery.limits.lines import LimitLine, WarmUpLine, limit_lines, warm_up_lines
from mailengine.domain.delivery.smtp import ProbeReport
from mailengine.domain.delivery.trial import try_relay
from mailengine.domain.senders import relays
from mailengine.models import DeadLetter, EmailTask, QuietHours, Relay, Reputation
from mailengine.tui.source.desk import Desk, whole


@dataclass(frozen=True, slots=True)
class Pace:
    """What slows sending down."""

    limits: Sequence[LimitLine]
    warm_ups: Sequence[WarmUpLine]
    quiet: QuietHours | None
    reputation: Reputation | None


class Delivery:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def relays(self) -> Sequence[Relay]:
        """By name."""
        async with self.desk.read() as tx:
            return (await relays.list_relays(tx, self.desk.scope, request=PageRequest(200))).items

    @whole
    async def pace(self) -> Pace:
        desk, now = self.desk, self.desk.now()
        async with desk.read() as tx:
            names = await relays.names(tx, desk.scope)
            return Pace(
                await limit_lines(tx, desk.scope, names, now=now),
                await warm_up_lines(tx, desk.scope, names, now=now),
                await quiet_hours.get_quiet_hours(tx, desk.scope),
                await reputation.stored(tx, desk.scope),
            )

    @whole
    async def enable(self, name: str, *, enabled: bool) -> str:
        desk = self.desk
        changes = relays.RelayChanges(enabled=enabled)
        async with desk.write() as tx:
            await relays.update(tx, desk.scope, name=name, changes=changes, now=desk.now())
        return f"{name} is {'enabled' if enabled else 'disabled'}"

    @whole
    async def probe(self, name: str) -> ProbeReport:
        """Connect to a relay and log in; nothing is sent."""
        desk = self.desk
        return await try_relay(
            desk.rt.db,
            desk.scope,
            name=name,
            keyring=desk.rt.keyring,
            settings=desk.rt.settings,
            author=None,
            recipient=None,
            now=desk.now(),
        )

    @whole
    async def doubts(self, *, limit: int, cursor: str | None) -> Page[EmailTask]:
        """Oldest first."""
        async with self.desk.read() as tx:
            return await doubts.list_doubts(tx, self.desk.scope, request=PageRequest(limit, cursor))

    @whole
    async def settle(self, task_id: int, *, accepted: bool) -> str:
        desk = self.desk
        async with desk.write() as tx:
            await doubts.settle(tx, desk.scope, task_ids=[task_id], accepted=accepted, now=desk.now())
        return f"message {task_id} is settled as {'sent' if accepted else 'failed'}"

    @whole
    async def send_again(self, task_id: int) -> str:
        """A message in doubt, though its recipient may get a second one."""
        desk = self.desk
        async with desk.write() as tx:
            await retry.resend(tx, desk.scope, task_ids=[task_id], now=desk.now())
        return f"message {task_id} is back in the queue"

    @whole
    async def letters(self, *, text: str, limit: int, cursor: str | None) -> Page[DeadLetter]:
        """Newest first."""
        desk = self.desk
        async with desk.read() as tx:
            request = PageRequest(limit, cursor)
            return await dead_letters.list_letters(tx, desk.scope, Chosen(text=text), request=request)

    @whole
    async def requeue(self, chosen: Chosen) -> str:
        """Try dead letters again."""
        desk = self.desk
        async with desk.write() as tx:
            done = await retry.requeue(tx, desk.scope, chosen, now=desk.now())
        kept = f"; {done.kept:,} stay: their contacts cannot be mailed, or their campaign has ended"
        return f"{done.requeued:,} back in the queue" + (kept if done.kept else "")
