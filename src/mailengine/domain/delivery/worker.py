"""The send loop of one process: claim → look again → compose → send → record.

`_watch` keeps what may be sent, `_feed` claims for lanes that run low, the lanes send, `_write` records. They
meet in plain values on one event loop; nothing here waits inside a transaction. A fault of ours ends the
process: the journals then settle what it had in hand.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailengine.core.clock import Clock
from mailengine.core.config import Settings
from mailengine.core.errors import MailengineError, Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.batch import Batch, Job
from mailengine.domain.delivery.claim import LEASE, RunningCampaign, claim, renew
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.control import POLL_SECONDS, Control
from mailengine.domain.delivery.gate import Send, look_again
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.lane import Lane
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.sources import load_composer, load_relay

_PARTIAL_SECONDS = 0.5  # progress of a slow relay is written this often
_IDLE_CLAIM_SECONDS = 0.25  # a campaign with nothing due is asked again after this time
_FIRST_BATCH = 50
_TARGET_SECONDS = 0.5  # a claim holds about this much work, so that little is given back on a pause
_COMPOSERS = 32  # compiled campaigns kept
_LAST_TRIES = 5  # to write outcomes at the end; the journals keep what the database does not take
_FAULT_SECONDS = 1.0  # between tries while the database does not answer

log = get_logger("worker")


@dataclass(slots=True)
class _Pace:
    """How a campaign's claims go: the size of the next one and when it is worth asking."""

    size: int = _FIRST_BATCH
    next_claim: float = 0.0


@dataclass(slots=True)
class _Hand:
    """Batches in hand, and when each was last written."""

    batches: dict[str, Batch] = field(default_factory=dict)
    claimed_at: dict[str, float] = field(default_factory=dict)
    written_at: dict[str, float] = field(default_factory=dict)


class Worker:
    """One per process. `run` returns after `stop` was set and everything in hand is settled."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        keyring: Keyring,
        clock: Clock,
        *,
        owner: Owner,
        wire_folder: Path,
    ) -> None:
        self._db = db
        self._settings = settings
        self._keyring = keyring
        self._clock = clock
        self._owner = owner
        self._wire_folder = wire_folder
        self._instance = InstanceScope("role:worker")
        self._control = Control()
        self._lanes: dict[int, Lane] = {}
        self._composers: OrderedDict[int, Composer] = OrderedDict()
        self._pace: dict[int, _Pace] = {}
        self._hand = _Hand()
        self._hungry = asyncio.Event()
        self._outcomes = asyncio.Event()
        self._turn = 0
        self._fault: BaseException | None = None
        self._faulty = asyncio.Event()
        self._ending = False  # claim no more
        self._drained = False  # nothing is on the wire any more

    async def run(self, stop: asyncio.Event) -> None:
        self._wire_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        watch, feed, write = (asyncio.create_task(loop()) for loop in (self._watch, self._feed, self._write))
        ends = [asyncio.create_task(event.wait()) for event in (stop, self._faulty)]
        await asyncio.wait((*ends, watch, feed, write), return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        # Not cancelled: a claim or a record that is under way must be seen through.
        self._ending = True
        self._hungry.set()
        results = list(await asyncio.gather(watch, feed, return_exceptions=True))
        await self._drain()
        self._drained = True
        self._outcomes.set()
        results += await asyncio.gather(write, return_exceptions=True)
        faults = [result for result in results if isinstance(result, Exception)]
        if self._fault is not None or faults:
            raise self._fault or faults[0]

    def _on_fault(self, fault: BaseException) -> None:
        self._fault = fault
        self._faulty.set()

    # -- control ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while not self._ending:
            try:
                await self._control.refresh(self._db, self._instance)
            except Unavailable as error:
                # Nobody can say that sending is still wanted: hold until the database answers.
                self._control.active = {}
                log.error("database does not answer, sending is held", words=str(error))
                await asyncio.sleep(_FAULT_SECONDS)
            for lane in self._lanes.values():
                lane.purge()
            await asyncio.sleep(POLL_SECONDS)

    def _may_send(self, job: Job) -> bool:
        batch = job.batch
        return batch.campaign.campaign_id in self._control.active and _now() < batch.deadline

    # -- feed ------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        while not self._ending:
            self._hungry.clear()
            try:
                fed = await self._feed_one()
            except Unavailable as error:
                log.error("cannot claim", words=str(error))
                await asyncio.sleep(_FAULT_SECONDS)
                continue
            if not fed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._hungry.wait()

    async def _feed_one(self) -> bool:
        """Claim for the next campaign whose lane runs low; False when there is none."""
        for campaign in self._in_turn():
            pace = self._pace.setdefault(campaign.campaign_id, _Pace())
            if _now() < pace.next_claim:
                continue
            try:
                lane = await self._lane(campaign)
                if lane is None or lane.paused or len(lane.ready) >= pace.size:
                    continue
                composer = await self._composer(campaign)
            except Unavailable:
                raise
            except MailengineError as error:
                log.error("campaign cannot be sent", campaign=campaign.campaign_id, words=str(error))
                pace.next_claim = _now() + 10
                continue
            if await self._claim(campaign, lane, composer, pace):
                return True
            pace.next_claim = _now() + _IDLE_CLAIM_SECONDS
        return False

    def _in_turn(self) -> list[RunningCampaign]:
        """Campaigns in an order that gives each tenant, then each of its campaigns, its turn."""
        campaigns = sorted(self._control.active.values(), key=lambda c: (c.campaign_id, c.tenant_id))
        if not campaigns:
            return []
        self._turn += 1
        tenants = sorted({campaign.tenant_id for campaign in campaigns})
        first = self._turn % len(tenants)
        order = {tenant: (i - first) % len(tenants) for i, tenant in enumerate(tenants)}
        shift = self._turn // len(tenants) % len(campaigns)
        campaigns = campaigns[shift:] + campaigns[:shift]
        return sorted(campaigns, key=lambda campaign: order[campaign.tenant_id])

    async def _claim(self, campaign: RunningCampaign, lane: Lane, composer: Composer, pace: _Pace) -> bool:
        """One batch from the queue into the lane."""
        token = secrets.token_hex(12)
        wire = WireJournal(self._wire_folder, token)
        scope = Scope(campaign.tenant_id, "role:worker")
        started = _now()
        try:
            async with self._db.write(scope) as tx:
                tasks = await claim(
                    tx,
                    scope,
                    campaign_id=campaign.campaign_id,
                    claim_token=token,
                    owner=str(self._owner),
                    limit=pace.size,
                    now=self._clock.now(),
                )
        except BaseException:
            wire.abandon()
            raise
        if not tasks:
            wire.remove()
            return False
        wire.fill([task.id for task in tasks])
        batch = Batch(
            campaign=campaign,
            claim_token=token,
            journal=wire,
            composer=composer,
            open=len(tasks),
            deadline=started + LEASE.total_seconds() * 0.8,
            on_outcome=self._on_outcome,
        )
        self._hand.batches[token] = batch
        self._hand.claimed_at[token] = self._hand.written_at[token] = started
        try:
            async with self._db.read(scope) as tx:
                decisions = await look_again(tx, scope, claim_token=token, list_ids=campaign.list_ids)
        except Unavailable:
            for task in tasks:
                batch.settle(outcome.released(task))
            raise
        jobs = []
        for slot, task in enumerate(tasks):
            match decisions[task.id]:
                case Send(person):
                    jobs.append(Job(batch, slot, task, person))
                case skip:
                    batch.settle(outcome.skipped(task, skip.reason))
        lane.low_mark = pace.size // 2
        lane.push(jobs)
        return True

    async def _lane(self, campaign: RunningCampaign) -> Lane | None:
        """The lane of the campaign's relay; None when the tenant has no relay."""
        relay = await load_relay(self._db, campaign, self._keyring, self._settings)
        if relay is None:
            log.error("tenant has no relay", tenant=campaign.tenant_id, campaign=campaign.campaign_id)
            self._pace[campaign.campaign_id].next_claim = _now() + 10
            return None
        lane = self._lanes.get(relay.relay_id)
        if lane is None or (lane.endpoint != relay.endpoint and not lane.busy and not lane.ready):
            lane = Lane(
                relay.endpoint,
                self._settings.worker,
                self._clock,
                may_send=self._may_send,
                on_hungry=self._hungry.set,
                on_fault=self._on_fault,
            )
            self._lanes[relay.relay_id] = lane
        return lane

    async def _composer(self, campaign: RunningCampaign) -> Composer:
        composer = self._composers.get(campaign.snapshot_id)
        if composer is None:
            composer = await load_composer(self._db, campaign, self._keyring, self._settings)
            self._composers[campaign.snapshot_id] = composer
            if len(self._composers) > _COMPOSERS:
                self._composers.popitem(last=False)
        return composer

    # -- record ----------------------------------------------------------------------------------------

    def _on_outcome(self, batch: Batch) -> None:
        if batch.open == 0:
            self._outcomes.set()

    async def _write(self) -> None:
        while not self._drained:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PARTIAL_SECONDS):
                    await self._outcomes.wait()
            self._outcomes.clear()
            await self._write_due()
        for _ in range(_LAST_TRIES):
            await self._write_due(everything=True)
            if not self._hand.batches:
                return

    async def _write_due(self, *, everything: bool = False) -> None:
        now = _now()
        for token, batch in list(self._hand.batches.items()):
            partial = everything or now - self._hand.written_at[token] >= _PARTIAL_SECONDS
            if batch.open == 0 or (batch.outcomes and partial):
                try:
                    await self._write_batch(token, batch)
                except Unavailable as error:
                    log.error("cannot record outcomes, they are kept and tried again", words=str(error))
                    await asyncio.sleep(_FAULT_SECONDS)
                    return

    async def _write_batch(self, token: str, batch: Batch) -> None:
        outcomes, whole = list(batch.outcomes), batch.open == 0
        now = self._clock.now()
        async with self._db.write(batch.scope) as tx:
            if outcomes:
                await outcome.record(
                    tx,
                    batch.scope,
                    campaign_id=batch.campaign.campaign_id,
                    claim_token=token,
                    outcomes=outcomes,
                    now=now,
                )
            if not whole:
                await renew(tx, batch.scope, claim_token=token, now=now)
        del batch.outcomes[: len(outcomes)]
        self._hand.written_at[token] = _now()
        if whole:
            batch.journal.remove()
            self._finish(token, batch)
        else:
            batch.deadline = _now() + LEASE.total_seconds() * 0.8

    def _finish(self, token: str, batch: Batch) -> None:
        del self._hand.batches[token]
        del self._hand.written_at[token]
        took = _now() - self._hand.claimed_at.pop(token)
        pace = self._pace.get(batch.campaign.campaign_id)
        if pace is not None:
            factor = min(2.0, max(0.5, _TARGET_SECONDS / max(took, 0.001)))
            size = int(pace.size * factor)
            pace.size = max(_FIRST_BATCH, min(size, self._settings.worker.batch_size))

    # -- end -------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """No new messages; what is on the wire gets its reply, within the limit."""
        for lane in self._lanes.values():
            lane.stop()
        try:
            async with asyncio.timeout(self._settings.worker.drain_seconds):
                await asyncio.gather(*(lane.finished() for lane in self._lanes.values()))
        except TimeoutError:
            for lane in self._lanes.values():
                await lane.abort()


def _now() -> float:
    """Seconds that go on while the machine sleeps: a lease must not outlive a suspended laptop."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
