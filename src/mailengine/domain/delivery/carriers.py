"""How a relay's mail is carried in this process: over one lane, or, delivered directly, over one lane a domain."""

from collections.abc import Callable, Iterable
from typing import Protocol

from mailengine.core.clock import Clock
from mailengine.core.config import Settings
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.batch import Job
from mailengine.domain.delivery.lane import Hooks, Lane, cannot_compose
from mailengine.domain.delivery.routes import DirectRoute, RelayRoute
from mailengine.domain.delivery.servers import Servers
from mailengine.domain.delivery.smtp import Endpoint
from mailengine.mail.address import AddressError, parse_address

_PER_DOMAIN = 4  # connections to one domain's mail hosts: more look like an attack to them
_MESSAGES_EACH = 5  # to connect costs a server more than a message does


class Carrier(Protocol):
    """Takes claimed messages and settles each of them."""

    @property
    def waiting(self) -> int:
        """Messages that no connection has taken yet."""
        ...

    @property
    def paused(self) -> bool:
        """True while nothing should be claimed for it."""
        ...

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is connected."""
        ...

    def push(self, jobs: list[Job], *, low_mark: int) -> None: ...

    def lanes(self) -> Iterable[Lane]: ...


class RelayCarrier:
    """All mail to one server."""

    def __init__(
        self, endpoint: Endpoint, servers: Servers, settings: Settings, clock: Clock, hooks: Hooks
    ) -> None:
        connections, route = settings.worker.connections, RelayRoute(endpoint, servers)
        self._lane = Lane(route, settings.worker, clock, hooks, shared=True, connections=connections)

    @property
    def waiting(self) -> int:
        return self._lane.waiting

    @property
    def paused(self) -> bool:
        return self._lane.paused

    @property
    def idle(self) -> bool:
        return not self._lane.waiting and not self._lane.busy

    def push(self, jobs: list[Job], *, low_mark: int) -> None:
        self._lane.low_mark = low_mark
        self._lane.push(jobs)

    def lanes(self) -> Iterable[Lane]:
        return (self._lane,)


class DirectCarrier:
    """Mail to the recipients' own mail hosts: the trouble of one domain holds nobody else's mail, that of a mail host
    holds what goes there (`servers`)."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        hooks: Hooks,
        *,
        route: Callable[[str], DirectRoute],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._hooks = hooks
        self._route = route
        self._lanes: dict[str, Lane] = {}

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self._lanes.values())

    @property
    def paused(self) -> bool:
        return False

    @property
    def idle(self) -> bool:
        return all(not lane.waiting and not lane.busy for lane in self._lanes.values())

    def push(self, jobs: list[Job], *, low_mark: int) -> None:
        self._forget_idle()
        by_domain: dict[str, list[Job]] = {}
        for job in jobs:
            try:
                by_domain.setdefault(parse_address(job.task.email).domain, []).append(job)
            except AddressError as error:
                job.batch.settle(outcome.failed(job.task, cannot_compose(error)))
        for domain, for_domain in by_domain.items():
            lane = self._lanes.get(domain) or self._open(domain)
            if lane.paused:
                lane.hold(for_domain, lane.paused_seconds, f"{domain} is in trouble, tried again soon")
            else:
                lane.push(for_domain)

    def lanes(self) -> Iterable[Lane]:
        return tuple(self._lanes.values())

    def _open(self, domain: str) -> Lane:
        lane = Lane(
            self._route(domain),
            self._settings.worker,
            self._clock,
            self._hooks,
            shared=False,
            connections=min(_PER_DOMAIN, self._settings.worker.connections),
            messages_each=_MESSAGES_EACH,
        )
        self._lanes[domain] = lane
        return lane

    def _forget_idle(self) -> None:
        """A lane a domain would grow with the list: those that rest are dropped, unless they are in trouble."""
        resting = [
            domain
            for domain, lane in self._lanes.items()
            if not lane.waiting and not lane.busy and not lane.paused
        ]
        for domain in resting:
            del self._lanes[domain]
