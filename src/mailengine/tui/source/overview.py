"""How the installation and the tenant stand, in figures that cost the same with ten messages and ten million."""

from dataclasses import dataclass

from mailengine.domain.delivery import kill_switch
from mailengine.domain.reports import health, queue
from mailengine.domain.reports.campaigns import Overall, Progress, overall, recent_progress
from mailengine.tui.source.desk import Desk, whole

_RECENT = 8
MOST_DEFERRED = 10_000  # counted up to here


@dataclass(frozen=True, slots=True)
class Standing:
    """`queue` is the installation's; the rest the tenant's."""

    queue: queue.QueueFigures
    totals: Overall
    deferred: int
    recent: list[Progress]


class Overview:
    """What the first screen asks, and the switch that stops everything."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def standing(self) -> Standing:
        desk, now = self.desk, self.desk.now()
        async with desk.rt.db.read(desk.instance) as tx:
            figures = await queue.queue_figures(tx, desk.instance, now=now)
        async with desk.read() as tx:
            return Standing(
                figures,
                await overall(tx, desk.scope),
                await queue.deferred(tx, desk.scope, now=now, most=MOST_DEFERRED),
                await recent_progress(tx, desk.scope, limit=_RECENT, now=now),
            )

    @whole
    async def health(self) -> health.Health:
        """Sender Health; counts the opens of a month, so it is asked once a minute."""
        async with self.desk.read() as tx:
            return await health.health(tx, self.desk.scope, now=self.desk.now())

    @whole
    async def stop_all(self, reason: str, *, everybody: bool) -> None:
        """The kill switch: of the tenant, or of the whole installation."""
        desk = self.desk
        async with desk.rt.db.write(desk.instance) as tx:
            await kill_switch.set_on(
                tx,
                desk.instance,
                tenant_id=None if everybody else desk.scope.tenant_id,
                reason=reason,
                actor=desk.scope.actor,
                now=desk.now(),
            )

    @whole
    async def go_on(self, *, everybody: bool) -> None:
        """Sending goes on, unless the other switch is on."""
        desk = self.desk
        async with desk.rt.db.write(desk.instance) as tx:
            await kill_switch.set_off(
                tx,
                desk.instance,
                tenant_id=None if everybody else desk.scope.tenant_id,
                actor=desk.scope.actor,
                now=desk.now(),
            )
