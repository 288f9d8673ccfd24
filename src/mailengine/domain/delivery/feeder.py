"""Claims for the carriers that run low: whose turn it is, through which relay, and how many the limits allow.

A campaign goes through its own relay, else through the tenant's.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from mailengine.core.clock import Clock
from mailengine.core.config import Settings
from mailengine.core.errors import MailengineError, Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.batch import CampaignBatch, CampaignJob, Job, Pace
from mailengine.domain.delivery.carriers import Carrier
from mailengine.domain.delivery.claim import ClaimedTask, RunningCampaign, claim
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.control import Control
from mailengine.domain.delivery.fleet import Fleet
from mailengine.domain.delivery.gate import Send, Skip, look_again
from mailengine.domain.delivery.hand import Hand, boot_seconds
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.limits.limits import Rules, rules_of
from mailengine.domain.delivery.limits.providers import Providers
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.sources import load_composer
from mailengine.domain.delivery.transactional.claim import messages_due

_IDLE_CLAIM_SECONDS = 0.25  # a campaign with nothing due is asked again after this time
_HOPELESS_SECONDS = 10.0  # … one that cannot be sent as it is
_LIMITED_SECONDS = 5.0  # … one at its limit, at the latest: limits may be changed
_AFTER_MESSAGES = timedelta(seconds=1)  # what a limit still allows is transactional mail's first
_COMPOSERS = 32  # compiled campaigns kept

log = get_logger("worker")


class _Result(Enum):
    CLAIMED = "claimed"
    EMPTY = "empty"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a claim transaction brought."""

    tasks: list[ClaimedTask]
    rules: Rules
    rates: dict[str, Rate]
    limited_until: datetime | None


class Feeder:
    """One per worker: `feed_one` is called until nothing is to be had."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        keyring: Keyring,
        clock: Clock,
        *,
        owner: Owner,
        wire_folder: Path,
        control: Control,
        hand: Hand,
        fleet: Fleet,
        providers: Providers,
    ) -> None:
        self._db = db
        self._settings = settings
        self._keyring = keyring
        self._hash_key = keyring.derive_for_ever(HASH_PURPOSE)
        self._clock = clock
        self._owner = owner
        self._wire_folder = wire_folder
        self._control = control
        self._hand = hand
        self._fleet = fleet
        self._providers = providers
        self._composers: OrderedDict[int, Composer] = OrderedDict()
        self._pace: dict[int, Pace] = {}
        self._turn = 0

    async def feed_one(self) -> bool:
        """Claim for the next campaign whose carrier runs low; False when there is none."""
        for campaign in self._in_turn():
            pace = self._pace.setdefault(campaign.campaign_id, Pace(self._settings.worker.batch_size // 2))
            if boot_seconds() < pace.next_claim:
                continue
            try:
                if await self._feed(campaign, pace):
                    return True
            except Unavailable:
                raise
            except MailengineError as error:
                log.error("campaign cannot be sent", campaign=campaign.campaign_id, words=str(error))
                pace.next_claim = boot_seconds() + _HOPELESS_SECONDS
        return False

    def _in_turn(self) -> list[RunningCampaign]:
        self._turn += 1
        return in_turn(self._control.active.values(), turn=self._turn, risky=self._control.risky)

    async def _feed(self, campaign: RunningCampaign, pace: Pace) -> bool:
        carriers = await self._fleet.carriers(campaign.tenant_id, campaign.relay_id)
        if not carriers:
            log.error("tenant has no relay", tenant=campaign.tenant_id, campaign=campaign.campaign_id)
            pace.next_claim = boot_seconds() + _HOPELESS_SECONDS
            return False
        composer = await self._composer(campaign)
        for relay_id, carrier in self._fleet.by_preference(carriers):
            wanted = self._wanted(campaign, pace)
            if carrier.waiting >= pace.size or wanted * 2 < pace.size:
                return False  # the preferred one has enough to do; a lower one is no better
            match await self._claim(campaign, relay_id, carrier, composer, pace, wanted):
                case _Result.CLAIMED:
                    return True
                case _Result.EMPTY:
                    pace.next_claim = boot_seconds() + _IDLE_CLAIM_SECONDS
                    return False
                case _Result.LIMITED:
                    continue
        return False

    def _wanted(self, campaign: RunningCampaign, pace: Pace) -> int:
        """The size of the next claim. Whatever this process has claimed of a campaign is in doubt when the machine
        never comes back, so that all of it together is no more than `worker.batch_size`."""
        held = sum(
            batch.unwritten
            for batch in self._hand
            if isinstance(batch, CampaignBatch) and batch.campaign.campaign_id == campaign.campaign_id
        )
        return min(pace.size, self._settings.worker.batch_size - held)

    async def _claim(
        self,
        campaign: RunningCampaign,
        relay_id: int,
        carrier: Carrier,
        composer: Composer,
        pace: Pace,
        wanted: int,
    ) -> _Result:
        """One batch from the queue to the carrier."""
        token = secrets.token_hex(12)
        wire = WireJournal(self._wire_folder, token, room=wanted)
        began = boot_seconds()
        try:
            claimed = await self._take(campaign, relay_id, composer.domain, token, wanted)
        except BaseException:
            wire.abandon()
            raise
        if not claimed.tasks:
            wire.remove()
            if claimed.limited_until is None:
                return _Result.EMPTY
            wait = (claimed.limited_until - self._clock.now()).total_seconds()
            pace.next_claim = boot_seconds() + min(max(wait, 0.0), _LIMITED_SECONDS)
            return _Result.LIMITED
        wire.fill([task.id for task in claimed.tasks])
        batch = CampaignBatch(
            scope=Scope(campaign.tenant_id, "role:worker"),
            campaign=campaign,
            claim_token=token,
            journal=wire,
            composer=composer,
            pace=pace,
            rates=claimed.rates,
            open=len(claimed.tasks),
            claim_seconds=boot_seconds() - began,
            on_outcome=self._hand.on_outcome,
        )
        self._hand.add(batch)
        jobs = await self._jobs(batch, claimed)
        batch.ready, batch.ready_at = len(jobs), boot_seconds()
        carrier.push(jobs, low_mark=pace.size // 2)
        return _Result.CLAIMED

    async def _take(
        self, campaign: RunningCampaign, relay_id: int, sending_domain: str, token: str, wanted: int
    ) -> _Claim:
        """Tokens and tasks in one transaction, as many of the ones as of the others."""
        scope, now = Scope(campaign.tenant_id, "role:worker"), self._clock.now()
        # A claim that a power cut undoes would be sent again by whoever finds it in the queue.
        async with self._db.write(scope, durable=True) as tx:
            rules = await rules_of(tx, scope, now=now)
            rates = rules.for_batch(relay_id=relay_id, sending_domain=sending_domain)
            if rates and await messages_due(tx, scope, now=now):
                return _Claim([], rules, rates, now + _AFTER_MESSAGES)
            granted = await buckets.take(tx, scope, rates, wanted=wanted, now=now, leave_reserve=True)
            if granted.count == 0:
                return _Claim([], rules, rates, granted.ready_at)
            tasks = await claim(
                tx,
                scope,
                campaign_id=campaign.campaign_id,
                claim_token=token,
                owner=str(self._owner),
                limit=granted.count,
                now=now,
            )
            await buckets.give_back(tx, scope, rates, count=granted.count - len(tasks), now=now)
        return _Claim(tasks, rules, rates, None)

    async def _jobs(self, batch: CampaignBatch, claimed: _Claim) -> list[Job]:
        """Those of the claim that may be sent now; the others are settled."""
        try:
            async with self._db.read(batch.scope) as tx:
                decisions = await look_again(
                    tx,
                    batch.scope,
                    claim_token=batch.claim_token,
                    list_ids=batch.campaign.list_ids,
                    hash_key=self._hash_key,
                )
            held = await self._providers.hold_back(
                self._db, batch.scope, claimed.rules.providers, claimed.tasks, now=self._clock.now()
            )
        except Unavailable:
            for task in claimed.tasks:
                batch.settle(outcome.released(task))
            raise
        jobs: list[Job] = []
        for slot, task in enumerate(claimed.tasks):
            match decisions[task.id]:
                case Skip(reason):
                    batch.settle(outcome.skipped(task, reason))
                case Send(person) if task.id not in held:
                    jobs.append(CampaignJob(batch, slot, task, person))
                case _:
                    batch.settle(outcome.held(task, held[task.id].due, held[task.id].reason))
        return jobs

    async def _composer(self, campaign: RunningCampaign) -> Composer:
        composer = self._composers.get(campaign.snapshot_id)
        if composer is None:
            composer = await load_composer(self._db, campaign, self._keyring, self._settings)
            self._composers[campaign.snapshot_id] = composer
            if len(self._composers) > _COMPOSERS:
                self._composers.popitem(last=False)
        return composer


def in_turn(campaigns: Iterable[RunningCampaign], *, turn: int, risky: Set[int]) -> list[RunningCampaign]:
    """Campaigns in an order that gives each tenant, then each of its campaigns, its turn; those of risky tenants
    come after all others."""
    ordered = sorted(campaigns, key=lambda campaign: campaign.campaign_id)
    if not ordered:
        return []
    tenants = sorted({campaign.tenant_id for campaign in ordered})
    first = turn % len(tenants)
    order = {tenant: (i - first) % len(tenants) for i, tenant in enumerate(tenants)}
    shift = turn // len(tenants) % len(ordered)
    ordered = ordered[shift:] + ordered[:shift]
    return sorted(ordered, key=lambda campaign: (campaign.tenant_id in risky, order[campaign.tenant_id]))
