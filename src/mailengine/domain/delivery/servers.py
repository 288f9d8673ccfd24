"""The servers that one process is connected to: so many connections to each, none while it is left alone, and no
more in all than the process may have files open.

A mail host counts a sender's connections, not the domains they are for, so that domains whose mail hosts are the same
share all of it. Trouble at one address leaves that address alone; a host that asks for less speaks for its provider.
"""

import asyncio
import random
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from mailengine.core.log import get_logger
from mailengine.domain.delivery.backoff import Pause
from mailengine.domain.delivery.provider_groups import group_of_host
from mailengine.domain.delivery.smtp import ConnectFailed

_MOST = 1000  # connections of a process, however many files it may open
_MAX_TROUBLES = 10_000  # remembered: a list of a million domains has as many dead hosts as it likes

_Key = tuple[str, str | None, str]
log = get_logger("servers")


def most_connections() -> int:
    """A quarter of the files this process may open: the database, the journals and the DNS need theirs at any time,
    and the process dies when they get none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if limit == resource.RLIM_INFINITY else max(1, min(_MOST, limit // 4))


class LeftAlone(ConnectFailed):
    """The server is in trouble and is not asked for `seconds`; it says nothing about what waits for it."""

    def __init__(self, where: str, seconds: float, words: str) -> None:
        super().__init__(where, "connect", None, f"left alone for a while: {words}")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Target:
    """An address of a mail host, seen from one of our own: receivers count by it."""

    host: str
    address: str
    source_address: str | None = None

    @property
    def keys(self) -> tuple[_Key, ...]:
        named = {"host": self.host, "address": self.address, "group": group_of_host(self.host)}
        return tuple((kind, self.source_address, name) for kind, name in named.items())


class Slot:
    """The place of one connection, kept from before it is opened until it is closed."""

    def __init__(self, servers: "Servers", keys: tuple[_Key, ...]) -> None:
        self._servers = servers
        self.keys = keys
        self.wanted = False  # somebody else waits for it
        self.barred = False  # the server is in trouble: nothing more on this connection
        self.on_change: Callable[[], object] = lambda: None

    def trouble(self, words: str, *, rate: bool) -> None:
        """The server fails, or with `rate` wants less of us."""
        kind = "group" if rate else "address"
        for key in self.keys:
            if key[0] == kind:
                self._servers.trouble(key, words)

    def success(self) -> None:
        """The server does what it should."""
        if self._servers.troubled:
            self._servers.well(self.keys)

    def release(self) -> None:
        self._servers.release(self)


@dataclass(slots=True, eq=False)
class _Waiter:
    keys: tuple[_Key, ...]
    needed: Callable[[], bool]
    slot: asyncio.Future[Slot | None]


@dataclass(slots=True)
class _Trouble:
    pause: Pause
    words: str


class Servers:
    """One for each of a worker's lanes. Whoever waits longest comes first, where there is room."""

    def __init__(self, *, per_server: int, most: int) -> None:
        self._per_server = per_server
        self._most = most
        self._chance = random.Random()  # noqa: S311  # jitter, not secrets
        self._slots: dict[Slot, None] = {}  # the oldest first
        self._by_key: dict[_Key, dict[Slot, None]] = {}
        self._waiters: dict[_Waiter, None] = {}
        self._troubles: OrderedDict[_Key, _Trouble] = OrderedDict()

    @property
    def troubled(self) -> bool:
        return bool(self._troubles)

    async def slot(self, target: Target | None, needed: Callable[[], bool]) -> Slot | None:
        """A place for one more connection (None: to a relay, which only counts in all), or None when it is not
        needed any more once there is room. Raises LeftAlone."""
        keys = target.keys if target else ()
        if (alone := self._left_alone(keys)) is not None:
            raise alone
        if (in_the_way := self._full(keys)) is None:
            return self._occupy(keys)
        waiter = _Waiter(keys, needed, asyncio.get_running_loop().create_future())
        self._waiters[waiter] = None
        _ask_for_room([slot for slot in in_the_way if not slot.wanted][:1])
        try:
            return await waiter.slot
        except asyncio.CancelledError:
            given = waiter.slot.done() and not waiter.slot.cancelled() and not waiter.slot.exception()
            if given and (slot := waiter.slot.result()) is not None:
                slot.release()
            raise
        finally:
            self._waiters.pop(waiter, None)

    def release(self, slot: Slot) -> None:
        del self._slots[slot]
        for key in slot.keys:
            slots = self._by_key[key]
            del slots[slot]
            if not slots:
                del self._by_key[key]
        self._admit()

    def trouble(self, key: _Key, words: str) -> None:
        known = self._troubles.setdefault(key, _Trouble(Pause(), words))
        self._troubles.move_to_end(key)
        if len(self._troubles) > _MAX_TROUBLES:
            self._troubles.popitem(last=False)
        seconds = known.pause.begin(self._chance)
        if seconds is None:
            return
        known.words = words
        log.warning("mail host left alone", server=key[2], pause_seconds=round(seconds, 1), words=words)
        for slot in list(self._by_key.get(key, ())):
            slot.barred = True
            slot.on_change()
        for waiter in [waiter for waiter in self._waiters if key in waiter.keys]:
            del self._waiters[waiter]
            if not waiter.slot.done():
                waiter.slot.set_exception(LeftAlone(key[2], seconds, words))

    def well(self, keys: tuple[_Key, ...]) -> None:
        for key in keys:
            self._troubles.pop(key, None)

    def _left_alone(self, keys: tuple[_Key, ...]) -> LeftAlone | None:
        """After a pause one connection finds out if it is well again. That may take until a time-out, and whoever
        waited for it would keep claims open and their campaigns standing."""
        for key in keys:
            known = self._troubles.get(key)
            if known is None:
                continue
            if known.pause.seconds > 0 or key in self._by_key:
                return LeftAlone(key[2], known.pause.seconds or known.pause.length_seconds, known.words)
        return None

    def _limit(self, key: _Key) -> int:
        return self._most if key[0] == "group" else self._per_server

    def _full(self, keys: tuple[_Key, ...]) -> dict[Slot, None] | None:
        """The connections of which one has to end first; None when there is room."""
        if len(self._slots) >= self._most:
            return self._slots
        for key in keys:
            slots = self._by_key.get(key)
            if slots is not None and len(slots) >= self._limit(key):
                return slots
        return None

    def _occupy(self, keys: tuple[_Key, ...]) -> Slot:
        slot = Slot(self, keys)
        self._slots[slot] = None
        for key in keys:
            self._by_key.setdefault(key, {})[slot] = None
        return slot

    def _admit(self) -> None:
        blocked: dict[int, tuple[dict[Slot, None], int]] = {}  # by what, and how many
        for waiter in list(self._waiters):
            if waiter.slot.done():
                continue
            if not waiter.needed():
                waiter.slot.set_result(None)
            elif (in_the_way := self._full(waiter.keys)) is None:
                waiter.slot.set_result(self._occupy(waiter.keys))
            else:
                _, count = blocked.get(id(in_the_way), (in_the_way, 0))
                blocked[id(in_the_way)] = in_the_way, count + 1
        for slots, count in blocked.values():
            _ask_for_room(islice(slots, count))


def _ask_for_room(slots: Iterable[Slot]) -> None:
    """The oldest connections, as many as are waited for, end after their turn."""
    for slot in slots:
        if not slot.wanted:
            slot.wanted = True
            slot.on_change()
