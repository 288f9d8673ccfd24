"""Who rings and who listens: chosen by `queue.backend`."""

from collections.abc import Callable, Set
from typing import Protocol

from mailengine.core.config import Settings
from mailengine.core.errors import InvalidInput
from mailengine.domain.delivery.wake.fifo import FifoBell, FifoListener


class Bell(Protocol):
    """Rung after a commit; must neither raise nor take long."""

    async def ring(self, tenants: Set[str]) -> None: ...

    async def close(self) -> None: ...


class Listener(Protocol):
    """Runs beside a worker's lanes."""

    @property
    def reliable(self) -> bool:
        """Whether every ring is heard now, so that the database need not be asked often."""
        ...

    async def run(self, on_wake: Callable[[], None]) -> None:
        """Until it is cancelled; never raises because of what it listens to."""
        ...


def bell_of(settings: Settings) -> Bell:
    """Raises InvalidInput or Unavailable where Redis is chosen and cannot be used."""
    if settings.queue.backend == "database":
        return FifoBell(settings.data_dir)
    from mailengine.domain.delivery.wake.redis import RedisBell  # an extra: 60 ms that most do not need

    return RedisBell(_redis_url(settings), settings.redis.prefix)


def listener_of(settings: Settings) -> Listener:
    """Raises as `bell_of` does."""
    if settings.queue.backend == "database":
        return FifoListener(settings.data_dir)
    from mailengine.domain.delivery.wake.redis import RedisListener

    return RedisListener(_redis_url(settings), settings.redis.prefix)


def _redis_url(settings: Settings) -> str:
    if settings.redis.url is None:
        raise InvalidInput("queue.backend is redis: say where it is with redis.url (MAILENGINE_REDIS_URL)")
    return settings.redis.url.get_secret_value()
