"""Through Redis: a list per installation hands each ring to one waiting worker, on whichever machine it is.

A list and not publish/subscribe: a ring wakes one worker, not all, and one that comes while all are busy is not lost.
Nothing is stored here that is not in the database; the list is cut and expires, so that rings which nobody hears do
not pile up.
"""

import asyncio
from collections.abc import Callable, Set

from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.core.log import get_logger

try:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError
except ModuleNotFoundError as error:
    raise Unavailable("Redis needs its client; install it with `pip install 'mailengine[redis]'`") from error

_RING_SECONDS = 2.0  # a command that ends waits so long for a stalled Redis
_BLOCK_SECONDS = 2  # how long one question waits for a ring
_SILENCE_SECONDS = 4.0  # after which the connection is taken for dead; above the question's own time
_MOST = 1000  # rings kept
_EXPIRES_SECONDS = 3600

log = get_logger("redis")


def _connect(url: str, timeout_seconds: float) -> "Redis":
    try:
        return Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=None
        )
    except ValueError as error:
        raise InvalidInput("redis.url cannot be read; write redis://HOST:PORT/DATABASE") from error


class RedisBell:
    """Rings beside whoever queued, who never waits for Redis. A ring that fails is dropped: what it would have told
    is in the database."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = _connect(url, _RING_SECONDS)
        self._key = f"{prefix}:messages"
        self._waiting: set[str] = set()
        self._ringing: asyncio.Task[None] | None = None

    async def ring(self, tenants: Set[str]) -> None:
        self._waiting |= tenants
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring_all())

    async def _ring_all(self) -> None:
        while self._waiting:
            told, self._waiting = self._waiting, set()
            try:
                async with asyncio.timeout(_RING_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                    pipe.rpush(self._key, *told)
                    pipe.ltrim(self._key, -_MOST, -1)
                    pipe.expire(self._key, _EXPIRES_SECONDS)
                    await pipe.execute()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("redis does not answer, messages are found in the database", words=_words(error))

    async def close(self) -> None:
        """Lets what is being told be heard, within the limit."""
        if self._ringing is not None:
            await self._ringing
        await self._redis.aclose()


class RedisListener:
    """Waits for rings; while Redis does not answer the worker asks the database as if there were none."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = _connect(url, _SILENCE_SECONDS)
        self._key = f"{prefix}:messages"
        self.reliable = False

    async def run(self, on_wake: Callable[[], None]) -> None:
        try:
            while True:
                try:
                    rung = await self._redis.blpop([self._key], timeout=_BLOCK_SECONDS)
                except (RedisError, OSError, TimeoutError) as error:
                    await self._rest(error)
                    continue
                if not self.reliable:
                    self.reliable = True
                    on_wake()  # what was queued meanwhile rang in vain
                if rung is not None:
                    on_wake()
        finally:
            await self._redis.aclose()

    async def _rest(self, error: Exception) -> None:
        if self.reliable:
            log.warning("redis does not answer, messages are found in the database", words=_words(error))
        self.reliable = False
        await asyncio.sleep(1.0)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
