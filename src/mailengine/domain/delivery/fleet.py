"""The carriers of one worker, a set for each of its lanes: by relay, made when they are first needed.

A tenant's relays of the least priority number share by weight; the next priority takes over while all of them are
in trouble or have used up their limits.
"""

import asyncio
import random
from collections.abc import Callable

from mailengine.core.config import Settings
from mailengine.core.ids import TenantId
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery.carriers import Carrier
from mailengine.domain.delivery.hand import boot_seconds
from mailengine.domain.delivery.lane import Lane
from mailengine.domain.delivery.sources import LoadedRelay, load_relays

_RELAYS_SECONDS = 1.0  # what is known of relays is used so long


class Fleet:
    """Asks the database once a second, not for each look at each queue."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        keyring: Keyring,
        make_carrier: Callable[[LoadedRelay], Carrier],
    ) -> None:
        self._db = db
        self._settings = settings
        self._keyring = keyring
        self._make_carrier = make_carrier
        self._chance = random.Random()  # noqa: S311  # shares load, hides nothing
        self._relays: dict[tuple[int, int | None], tuple[float, list[LoadedRelay]]] = {}
        self._carriers: dict[int, tuple[LoadedRelay, Carrier]] = {}

    async def carriers(
        self, tenant_id: TenantId, relay_id: int | None = None
    ) -> list[tuple[LoadedRelay, Carrier]]:
        """Each relay that may carry; a relay that was changed gets a new carrier once it rests."""
        found = []
        for relay in await self._relays_of(tenant_id, relay_id):
            known = self._carriers.get(relay.relay_id)
            if known is None or (known[0].way != relay.way and known[1].idle):
                known = (relay, self._make_carrier(relay))
                self._carriers[relay.relay_id] = known
            found.append((relay, known[1]))
        return found

    def by_preference(self, carriers: list[tuple[LoadedRelay, Carrier]]) -> list[tuple[int, Carrier]]:
        """Healthy carriers: by priority, and within one by chance in proportion to the weights."""
        healthy = [(relay, carrier) for relay, carrier in carriers if not carrier.paused]
        # Efraimidis and Spirakis 2006: sorting by u^(1/w) draws without replacement in proportion to w.
        drawn = {relay.relay_id: self._chance.random() ** (1 / relay.weight) for relay, _ in healthy}
        healthy.sort(key=lambda pair: (pair[0].priority, -drawn[pair[0].relay_id]))
        return [(relay.relay_id, carrier) for relay, carrier in healthy]

    def lanes(self) -> list[Lane]:
        """Every lane of every carrier."""
        return [lane for _, carrier in self._carriers.values() for lane in carrier.lanes()]

    def relay_lanes(self) -> list[tuple[LoadedRelay, Lane]]:
        """Those that lead to a relay; a lane of direct delivery leads to somebody else's server."""
        pairs = [(relay, lane) for relay, carrier in self._carriers.values() for lane in carrier.lanes()]
        return [(relay, lane) for relay, lane in pairs if lane.shared]

    async def drain(self) -> None:
        """No new messages; what is on the wire gets its reply, within the limit."""
        lanes = self.lanes()
        for lane in lanes:
            lane.stop()
        try:
            async with asyncio.timeout(self._settings.worker.drain_seconds):
                await asyncio.gather(*(lane.finished() for lane in lanes))
        except TimeoutError:
            for lane in lanes:
                await lane.abort()

    async def _relays_of(self, tenant_id: TenantId, relay_id: int | None) -> list[LoadedRelay]:
        known = self._relays.get((tenant_id, relay_id))
        if known is None or boot_seconds() - known[0] > _RELAYS_SECONDS:
            scope = Scope(tenant_id, "role:worker")
            relays = await load_relays(
                self._db, scope, relay_id=relay_id, keyring=self._keyring, settings=self._settings
            )
            known = self._relays[tenant_id, relay_id] = (boot_seconds(), relays)
        return known[1]
