"""The lane of transactional mail in a worker process: own claims, own connections, own records.

It shares nothing with campaigns but the event loop and the limits, so that no campaign, however long, is ever in
front of a message. Tenants take turns.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mailengine.core.clock import Clock
from mailengine.core.config import Settings
from mailengine.core.errors import MailengineError, Unavailable
from mailengine.core.ids import TenantId
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery import kill_switch, outcome
from mailengine.domain.delivery.batch import Job
from mailengine.domain.delivery.carriers import Carrier
from mailengine.domain.delivery.claim import ClaimedTask
from mailengine.domain.delivery.control import POLL_SECONDS
from mailengine.domain.delivery.fleet import Fleet
from mailengine.domain.delivery.hand import FAULT_SECONDS, Hand, boot_seconds
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.kill_switch import KillState
from mailengine.domain.delivery.lane import Hooks, Lane
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.limits.limits import Rules, rules_of
from mailengine.domain.delivery.limits.providers import HeldBack, Providers, hold_back
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.sources import LoadedRelay
from mailengine.domain.delivery.tally import Tally
from mailengine.domain.delivery.transactional.batch import MessageBatch, MessageJob
from mailengine.domain.delivery.transactional.claim import ClaimedMessage, blocked, claim, due_tenants
from mailengine.domain.delivery.transactional.recover import journals
from mailengine.domain.delivery.wake import Listener
from mailengine.domain.senders.domains import signers
from mailengine.mail.address import parse_address
from mailengine.mail.dkim import Signer

CONNECTIONS = 2  # per relay and process, beside those of campaigns
VERP_PURPOSE = "message return path"  # of Keyring.derive
_RUNG_POLL_SECONDS = 1.0  # for retries that fall due, and rings that were lost
_NO_DOMAIN = ""  # a claim may be from several; theirs are looked at when it is known which
_KEYS_SECONDS = 10.0  # a DKIM key that was taken out of use may sign for so long
_BATCH = 20  # messages a claim: bodies are in memory meanwhile
_HOPELESS_SECONDS = 10.0  # a tenant that cannot send as it is is tried again after this time
_LIMITED_SECONDS = 5.0  # … one at its limit, at the latest: limits may be changed

log = get_logger("transactional")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a claim transaction brought; `barred` says why some of the messages must not go."""

    messages: list[ClaimedMessage]
    barred: dict[int, str]
    rules: Rules
    rates: dict[str, Rate]
    limited_until: datetime | None


class Express:
    """One per worker. `run` returns after `end` was called and everything in hand is settled."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        keyring: Keyring,
        clock: Clock,
        *,
        owner: Owner,
        wire_folder: Path,
        make_carrier: Callable[[LoadedRelay, Hooks], Carrier],
        on_fault: Callable[[BaseException], None],
        providers: Providers,
        tally: Tally,
    ) -> None:
        self._db = db
        self._settings = settings
        self._keyring = keyring
        self._clock = clock
        self._owner = owner
        self._folder = journals(wire_folder)
        self._hand = Hand(db, clock, tally)
        self._fleet = Fleet(db, settings, keyring, lambda relay: make_carrier(relay, self))
        self._on_fault = on_fault
        self._providers = providers
        self._instance = InstanceScope("role:worker")
        self._chance = random.Random()  # noqa: S311  # jitter, not secrets
        self._switches: KillState | None = None  # None: nobody can say that sending is wanted
        self._next_look: dict[TenantId, float] = {}
        self._signers: dict[tuple[TenantId, str], tuple[float, list[Signer]]] = {}
        self._turns = 0
        self._hungry = asyncio.Event()
        self._ending = False
        self._listener: Listener | None = None

    async def run(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write = asyncio.create_task(self._hand.write())
        try:
            await self._feed()
        finally:
            await self._fleet.drain()
            self._hand.drained()
            await write

    def end(self) -> None:
        """Claim no more."""
        self._ending = True
        self._hungry.set()

    def relay_lanes(self) -> list[tuple[LoadedRelay, Lane]]:
        return self._fleet.relay_lanes()

    async def listen(self, listener: Listener) -> None:
        """Look at once when somebody rings, and seldom while every ring is heard."""
        self._listener = listener
        await listener.run(self._hungry.set)

    def may_send(self, job: Job) -> bool:
        switches = self._switches
        batch = job.batch
        return (
            switches is not None
            and not switches.holds(batch.scope.tenant_id)
            and boot_seconds() < batch.deadline
        )

    def on_hungry(self) -> None:
        self._hungry.set()

    def on_fault(self, fault: BaseException) -> None:
        self._on_fault(fault)

    async def _feed(self) -> None:
        while not self._ending:
            self._hungry.clear()
            try:
                more = await self._turn()
            except Unavailable as error:
                self._switches = None
                log.error("cannot claim, messages are held", words=str(error))
                await asyncio.sleep(FAULT_SECONDS)
                continue
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds()):
                        await self._hungry.wait()

    def _poll_seconds(self) -> float:
        """Often while something is in hand: a kill switch must hold it."""
        rung = self._listener is not None and self._listener.reliable
        return _RUNG_POLL_SECONDS if rung and not any(self._hand) else POLL_SECONDS

    async def _turn(self) -> bool:
        """Look once at everything; True when something was claimed."""
        async with self._db.read(self._instance) as tx:
            self._switches = await kill_switch.state(tx, self._instance)
            tenants = await due_tenants(tx, self._instance, now=self._clock.now())
        for lane in self._fleet.lanes():
            lane.purge()
        claimed = False
        for tenant_id in self._in_turn(tenants):
            if self._ending or self._switches.holds(tenant_id):
                continue
            try:
                claimed |= await self._feed_tenant(Scope(tenant_id, "role:worker"))
            except Unavailable:
                raise
            except MailengineError as error:
                log.error("tenant's messages cannot be sent", tenant=tenant_id, words=str(error))
                self._look_later(tenant_id, _HOPELESS_SECONDS)
        return claimed

    def _in_turn(self, tenants: list[TenantId]) -> list[TenantId]:
        """Each turn begins with the next tenant."""
        self._turns += 1
        first = self._turns % len(tenants) if tenants else 0
        now = boot_seconds()
        return [
            tenant for tenant in tenants[first:] + tenants[:first] if self._next_look.get(tenant, 0.0) <= now
        ]

    def _look_later(self, tenant_id: TenantId, seconds: float) -> None:
        self._next_look[tenant_id] = boot_seconds() + seconds

    async def _feed_tenant(self, scope: Scope) -> bool:
        carriers = await self._fleet.carriers(scope.tenant_id)
        if not carriers:
            log.error("tenant has no relay for its messages", tenant=scope.tenant_id)
            self._look_later(scope.tenant_id, _HOPELESS_SECONDS)
            return False
        waits = []
        for relay_id, carrier in self._fleet.by_preference(carriers):
            if carrier.waiting >= _BATCH:
                return False  # the preferred one has enough to do
            taken = await self._claim(scope, relay_id, carrier)
            if taken.messages or taken.limited_until is None:
                return bool(taken.messages)
            waits.append((taken.limited_until - self._clock.now()).total_seconds())
        if waits:  # each is at its limit, or in trouble
            self._look_later(scope.tenant_id, min(max(min(waits), 0.0), _LIMITED_SECONDS))
        return False

    async def _claim(self, scope: Scope, relay_id: int, carrier: Carrier) -> _Claim:
        """One batch from the queue to the carrier."""
        token = secrets.token_hex(12)
        wire = WireJournal(self._folder, token, room=_BATCH)
        began = boot_seconds()
        try:
            taken = await self._take(scope, relay_id, token)
        except BaseException:
            wire.abandon()
            raise
        if not taken.messages:
            wire.remove()
            return taken
        wire.fill([message.id for message in taken.messages])
        batch = MessageBatch(
            scope=scope,
            claim_token=token,
            journal=wire,
            rates=taken.rates,
            open=len(taken.messages),
            claim_seconds=boot_seconds() - began,
            on_outcome=self._hand.on_outcome,
            clock=self._clock,
            retry_for=timedelta(hours=self._settings.worker.retry_hours),
            chance=self._chance,
        )
        self._hand.add(batch)
        carrier.push(await self._jobs(batch, taken), low_mark=0)
        return taken

    async def _take(self, scope: Scope, relay_id: int, token: str) -> _Claim:
        """Tokens and messages in one transaction, as many of the ones as of the others."""
        now = self._clock.now()
        async with self._db.write(scope, durable=True) as tx:
            rules = await rules_of(tx, scope, now=now)
            rates = rules.for_batch(relay_id=relay_id, sending_domain=_NO_DOMAIN)
            granted = await buckets.take(tx, scope, rates, wanted=_BATCH, now=now)
            if granted.count == 0:
                return _Claim([], {}, rules, rates, granted.ready_at)
            messages = await claim(
                tx, scope, claim_token=token, owner=str(self._owner), limit=granted.count, now=now
            )
            await buckets.give_back(tx, scope, rates, count=granted.count - len(messages), now=now)
            barred = await blocked(tx, scope, messages)
        return _Claim(messages, barred, rules, rates, None)

    async def _jobs(self, batch: MessageBatch, taken: _Claim) -> list[Job]:
        """Those of the claim that may be sent now; the others are settled."""
        verp_key = self._keyring.derive(VERP_PURPOSE)
        claimed = taken.messages
        try:
            going = [message for message in claimed if message.id not in taken.barred]
            keys = {message.from_email: await self._signers_of(batch.scope, message) for message in going}
            held = await self._hold_back(batch.scope, taken.rules, going)
        except MailengineError:
            for message in claimed:
                batch.settle(outcome.released(message))
            raise
        jobs: list[Job] = []
        for slot, message in enumerate(claimed):
            if message.id in taken.barred:
                batch.settle(outcome.skipped(message, taken.barred[message.id]))
            elif message.id in held:
                later = held[message.id]
                batch.settle(outcome.held(message, later.due, later.reason))
            else:
                jobs.append(MessageJob(batch, slot, message, keys[message.from_email], verp_key))
        return jobs

    async def _hold_back(
        self, scope: Scope, rules: Rules, going: list[ClaimedMessage]
    ) -> dict[int, HeldBack]:
        """What the limits of recipients' providers and of sending domains that warm up do not let go yet."""
        now = self._clock.now()
        held = await self._providers.hold_back(self._db, scope, rules.providers, going, now=now)
        senders: dict[str, list[ClaimedTask]] = {}
        for message in going:
            if message.id not in held:
                senders.setdefault(parse_address(message.from_email).domain, []).append(message)
        groups = {domain: senders[domain] for domain in senders.keys() & rules.domains.keys()}
        return held | await hold_back(self._db, scope, rules.domains, groups, now=now)

    async def _signers_of(self, scope: Scope, message: ClaimedMessage) -> list[Signer]:
        """Asked for once in a while: a message should not wait for what is the same for all."""
        domain, now = parse_address(message.from_email).domain, boot_seconds()
        known = self._signers.get((scope.tenant_id, domain))
        if known is None or known[0] < now:
            async with self._db.read(scope) as tx:
                found = await signers(tx, scope, domain=domain, keyring=self._keyring)
            self._signers = {key: each for key, each in self._signers.items() if each[0] >= now}
            known = self._signers[scope.tenant_id, domain] = (now + _KEYS_SECONDS, found)
        return known[1]
