"""Token buckets in memory, for what one process must slow down. Guesses at passwords are `accounts.attempts`'s.

Bounded: whoever sends from a million addresses fills the table, not the memory. The bucket that was idle
longest makes room, and an idle bucket is the one that holds the least to remember.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: datetime


class RateLimit:
    """`burst` acts at once per key, then one more every `seconds_per_act`."""

    def __init__(self, *, burst: int, seconds_per_act: float, max_keys: int = 10_000) -> None:
        self._burst = burst
        self._refill = 1 / seconds_per_act
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable, now: datetime) -> float:
        """Count an act; returns 0 when it is allowed, else after how many seconds the next one is."""
        bucket = self._bucket(key, now)
        waited = max(0.0, (now - bucket.filled_at).total_seconds())
        bucket.tokens = min(self._burst, bucket.tokens + waited * self._refill)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._refill
        bucket.tokens -= 1
        return 0.0

    def forget(self, key: Hashable) -> None:
        """The key did what it should (a right password): its earlier acts no longer count."""
        self._buckets.pop(key, None)

    def __len__(self) -> int:
        return len(self._buckets)

    def _bucket(self, key: Hashable, now: datetime) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._burst, now)
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
