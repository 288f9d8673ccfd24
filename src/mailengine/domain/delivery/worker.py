"""The send loop of one process: claim → look again → compose → send → record.

`_watch` keeps what may be sent, the feeder claims for lanes that run low, the lanes send, the hand records. They
meet in plain values on one event loop; nothing here waits inside a transaction. A fault of ours ends the
process: the journals then settle what it had in hand.
"""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

from mailengine.core.clock import Clock
from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery import health
from mailengine.domain.delivery.batch import CampaignBatch, Job
from mailengine.domain.delivery.carriers import Carrier, DirectCarrier, RelayCarrier
from mailengine.domain.delivery.control import POLL_SECONDS, Control
from mailengine.domain.delivery.feeder import Feeder
from mailengine.domain.delivery.fleet import Fleet
from mailengine.domain.delivery.hand import FAULT_SECONDS, Hand, boot_seconds
from mailengine.domain.delivery.lane import Hooks
from mailengine.domain.delivery.limits.providers import Providers
from mailengine.domain.delivery.mta_sts import MtaSts
from mailengine.domain.delivery.mx import MxResolver
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.routes import DirectRoute
from mailengine.domain.delivery.servers import Servers, most_connections
from mailengine.domain.delivery.smtp import Endpoint
from mailengine.domain.delivery.sources import LoadedRelay
from mailengine.domain.delivery.tally import Tally
from mailengine.domain.delivery.transactional.express import CONNECTIONS, Express
from mailengine.domain.delivery.transport import DirectWay
from mailengine.domain.delivery.wake import listener_of

log = get_logger("worker")


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
        self._clock = clock
        self._wire_folder = wire_folder
        self._instance = InstanceScope("role:worker")
        self._control = Control()
        self.tally = Tally()
        self._hand = Hand(db, clock, self.tally)
        self._resolver = MxResolver(settings.dns, clock, allow_private=settings.worker.private_mail_hosts)
        self._sts = MtaSts(settings.dns, self._resolver, clock)
        providers = Providers(self._resolver)
        # Two: a campaign that has all the places at a server must not keep a password reset waiting.
        most, connections = most_connections(), settings.worker.connections
        servers = Servers(per_server=connections, most=most)
        beside = Servers(per_server=CONNECTIONS, most=max(1, most // 4))
        self._fleet = Fleet(
            db,
            settings,
            keyring,
            lambda relay: self._make_carrier(relay, self, connections=connections, servers=servers),
        )
        self._feeder = Feeder(
            db,
            settings,
            keyring,
            clock,
            owner=owner,
            wire_folder=wire_folder,
            control=self._control,
            hand=self._hand,
            fleet=self._fleet,
            providers=providers,
        )
        self._express = Express(
            db,
            settings,
            keyring,
            clock,
            owner=owner,
            wire_folder=wire_folder,
            make_carrier=partial(self._make_carrier, connections=CONNECTIONS, servers=beside),
            on_fault=self.on_fault,
            providers=providers,
            tally=self.tally,
        )
        self._listener = listener_of(settings)
        self._hungry = asyncio.Event()
        self._hand.on_written = self.on_hungry
        self._fault: BaseException | None = None
        self._faulty = asyncio.Event()
        self._ending = False  # claim no more
        self._over = asyncio.Event()  # nothing is on the wire any more

    async def run(self, stop: asyncio.Event) -> None:
        self._wire_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        watch, feed, write, express, tell = (
            asyncio.create_task(loop())
            for loop in (self._watch, self._feed, self._hand.write, self._express.run, self._tell)
        )
        listen = asyncio.create_task(self._express.listen(self._listener))
        ends = [asyncio.create_task(event.wait()) for event in (stop, self._faulty)]
        loops = (watch, feed, write, express, tell, listen)
        await asyncio.wait((*ends, *loops), return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        # Not cancelled: a claim or a record that is under way must be seen through.
        self._ending = True
        self._hungry.set()
        self._express.end()
        listen.cancel()
        results = list(await asyncio.gather(watch, feed, return_exceptions=True))
        await self._fleet.drain()
        self._hand.drained()
        results += await asyncio.gather(write, express, listen, return_exceptions=True)
        self._over.set()
        results += await asyncio.gather(tell, return_exceptions=True)
        await self._sts.close()
        await self._resolver.close()
        faults = [result for result in results if isinstance(result, Exception)]
        if self._fault is not None or faults:
            raise self._fault or faults[0]

    async def _watch(self) -> None:
        """What may be sent; whatever waits and may not is given back."""
        while not self._ending:
            try:
                await self._control.refresh(self._db, self._instance, now=self._clock.now())
            except Unavailable as error:
                # Nobody can say that sending is still wanted: hold until the database answers.
                self._control.active = {}
                log.error("database does not answer, sending is held", words=str(error))
                await asyncio.sleep(FAULT_SECONDS)
            for lane in self._fleet.lanes():
                lane.purge()
            await asyncio.sleep(POLL_SECONDS)

    async def _feed(self) -> None:
        while not self._ending:
            self._hungry.clear()
            try:
                fed = await self._feeder.feed_one()
            except Unavailable as error:
                log.error("cannot claim", words=str(error))
                await asyncio.sleep(FAULT_SECONDS)
                continue
            if not fed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._hungry.wait()

    async def _tell(self) -> None:
        """What relays do, for the faces; the last look is after the last message."""
        while not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(health.TELL_SECONDS):
                    await self._over.wait()
            lanes = [*self._fleet.relay_lanes(), *self._express.relay_lanes()]
            try:
                await health.tell(self._db, self._instance, lanes, now=self._clock.now())
            except Unavailable as error:
                log.error("cannot record how relays do", words=str(error))

    def may_send(self, job: Job) -> bool:
        batch = cast("CampaignBatch", job.batch)  # the feeder makes no others; asked twice a message
        return batch.campaign.campaign_id in self._control.active and boot_seconds() < batch.deadline

    def on_hungry(self) -> None:
        self._hungry.set()

    def on_fault(self, fault: BaseException) -> None:
        self._fault = fault
        self._faulty.set()

    def _make_carrier(
        self, relay: LoadedRelay, hooks: Hooks, *, connections: int, servers: Servers
    ) -> Carrier:
        limited = self._settings.worker.model_copy(update={"connections": connections})
        settings = self._settings.model_copy(update={"worker": limited})
        match relay.way:
            case Endpoint() as endpoint:
                return RelayCarrier(endpoint, servers, settings, self._clock, hooks)
            case direct:
                route = partial(self._direct, direct, servers)
                return DirectCarrier(settings, self._clock, hooks, route=route)

    def _direct(self, way: DirectWay, servers: Servers, domain: str) -> DirectRoute:
        return DirectRoute(
            domain,
            self._resolver,
            self._sts,
            servers,
            self._settings.worker,
            helo=way.helo,
            source_address=way.source_address,
            port=way.port,
        )
