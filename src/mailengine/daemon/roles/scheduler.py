"""The life of campaigns around the sending: recipients become tasks, ends are noticed, cancelled queues emptied.
Beside it, under the same lease, run the chores (`daemon/chores.py`) and the jobs (`daemon/job_runs.py`)."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from mailengine.core.errors import Conflict, Unavailable
from mailengine.core.ids import CampaignId, TenantId
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope, Scope
from mailengine.daemon.chores import Chores
from mailengine.daemon.job_runs import JobRuns
from mailengine.daemon.lease import Leadership
from mailengine.daemon.naming import holder_of
from mailengine.daemon.restart import Looks, wait
from mailengine.domain.campaigns import expand, finish, schedule
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.runtime import Runtime

_LOOK_SECONDS = 0.2
_SET_ASIDE_SECONDS = 10.0
_ACTOR = "role:scheduler"
_INSTANCE = InstanceScope(_ACTOR)

Piece = Callable[[], Awaitable[object]]

log = get_logger("scheduler")


async def run(rt: Runtime, stop: asyncio.Event) -> None:
    """Look for work until `stop`, while this process holds the lease."""
    lease = Leadership(rt.db, rt.clock, name="scheduler", node=holder_of(rt), folder=rt.settings.data_dir)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Scheduler(rt).run(stop, lease.held))
            group.create_task(Chores(rt).run(stop, lease.held))
            group.create_task(JobRuns(rt).run(stop, lease.held))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # the role starts again whichever part failed
    finally:
        await lease.release()


class Scheduler:
    """Does one piece of each work that is due, so that no campaign waits for another to end."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._begun: set[CampaignId] = set()
        self._aside: dict[CampaignId, float] = {}  # a campaign that fails must not stop the others

    async def run(self, stop: asyncio.Event, held: Callable[[], Awaitable[bool]]) -> None:
        looks = Looks(_LOOK_SECONDS)
        while not stop.is_set():
            busy = await held() and await self.turn()
            await wait(stop, looks.rest(busy=busy))

    async def turn(self) -> bool:
        """True when there was something to do."""
        done = [await self._guarded(campaign_id, work) for campaign_id, work in await self._due()]
        return any(done)

    async def _due(self) -> list[tuple[CampaignId, Piece]]:
        async with self._rt.db.read(_INSTANCE) as tx:
            waiting = await schedule.due(tx, _INSTANCE, now=self._rt.clock.now())
            growing = await expand.launching(tx, _INSTANCE)
            ended = await finish.finished(tx, _INSTANCE)
            cancelled = await finish.cancelled(tx, _INSTANCE)
        return [
            *((each.campaign_id, partial(self._start, each)) for each in waiting),
            *(
                (each.campaign_id, partial(self._expand, each.tenant_id, each.campaign_id))
                for each in growing
            ),
            *((campaign, partial(self._finish, tenant, campaign)) for tenant, campaign in ended),
            *((campaign, partial(self._skip, tenant, campaign)) for tenant, campaign in cancelled),
        ]

    async def _guarded(self, campaign_id: CampaignId, work: Piece) -> bool:
        now = asyncio.get_running_loop().time()
        if self._aside.get(campaign_id, 0.0) > now:
            return False
        try:
            await work()
        except Unavailable:
            raise  # it concerns every campaign
        except Exception as error:
            log.error("campaign set aside", campaign=campaign_id, words=f"{type(error).__name__}: {error}")
            self._aside[campaign_id] = now + _SET_ASIDE_SECONDS
            return False
        return True

    async def _start(self, due: schedule.Due) -> None:
        rt, scope = self._rt, _scope(due.tenant_id)
        try:
            reasons = await schedule.start(
                rt.db, scope, due, base_url=rt.settings.base_url, now=rt.clock.now()
            )
        except Conflict as error:  # unscheduled or changed at this very moment
            log.info("scheduled campaign left alone", campaign=due.campaign_id, words=str(error))
            return
        if reasons:
            log.warning("scheduled campaign not sent", campaign=due.campaign_id, reasons=reasons)

    async def _expand(self, tenant_id: TenantId, campaign_id: CampaignId) -> None:
        if campaign_id not in self._begun:
            self._begun.add(campaign_id)
            log.info("campaign started", campaign=campaign_id, tenant=tenant_id)
        now = self._rt.clock.now()
        hash_key = self._rt.keyring.derive_for_ever(HASH_PURPOSE)
        await expand.expand_page(
            self._rt.db, _scope(tenant_id), campaign_id=campaign_id, hash_key=hash_key, now=now
        )

    async def _finish(self, tenant_id: TenantId, campaign_id: CampaignId) -> None:
        now = self._rt.clock.now()
        await finish.finish(self._rt.db, _scope(tenant_id), campaign_id=campaign_id, now=now)
        self._begun.discard(campaign_id)
        log.info("campaign finished", campaign=campaign_id, tenant=tenant_id)

    async def _skip(self, tenant_id: TenantId, campaign_id: CampaignId) -> None:
        now = self._rt.clock.now()
        skipped = await finish.skip_page(self._rt.db, _scope(tenant_id), campaign_id=campaign_id, now=now)
        log.info("cancelled campaign skipped", campaign=campaign_id, tasks=skipped)


def _scope(tenant_id: TenantId) -> Scope:
    return Scope(tenant_id, _ACTOR)
