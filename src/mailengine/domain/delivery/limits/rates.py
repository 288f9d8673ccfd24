"""Rates and the arithmetic of a token bucket; no database here.

A bucket holds at most a twentieth of a period's amount and fills with the rest, so that no window as long as the
period sees more than the amount: a plain bucket of N an hour would let almost 2 N through in its first hour.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor

from mailengine.core.errors import InvalidInput
from mailengine.models import Period

SECONDS = {Period.SECOND: 1, Period.MINUTE: 60, Period.HOUR: 3600, Period.DAY: 86400}
_BURST = 20  # a bucket holds amount / 20
MAX_AMOUNT = 1_000_000_000
_WRITTEN = re.compile(r"\s*(\d[\d_,.]*)\s*(?:/|per|an?)\s*(second|minute|hour|day)s?\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` messages in any window of one `period`."""

    amount: int
    period: Period

    def __str__(self) -> str:
        return f"{self.amount:,}/{self.period.value}"

    @property
    def per_second(self) -> float:
        """The long-run rate."""
        return self.amount / SECONDS[self.period]

    @property
    def capacity(self) -> int:
        return max(1, self.amount // _BURST)

    @property
    def reserve(self) -> int:
        """What campaigns leave in the bucket for transactional mail; none where that would be much of it."""
        return self.capacity // 20

    @property
    def refill_per_second(self) -> float:
        """What is left of the amount once the bucket was emptied at the start of a window; an amount of one
        fills its bucket of one once a period."""
        return max(self.amount - self.capacity, 1) / SECONDS[self.period]


def slowest(rates: Iterable[Rate]) -> Rate | None:
    """The one that decides where all of them hold; None where there is none."""
    return min(rates, key=lambda rate: rate.per_second, default=None)


def together(rates: Sequence[Rate]) -> Rate:
    """What several ways let through beside each other, told by the longest of their periods, in which it is whole."""
    period = max((rate.period for rate in rates), key=SECONDS.__getitem__)
    return Rate(sum(rate.amount * SECONDS[period] // SECONDS[rate.period] for rate in rates), period)


def parse_rate(text: str) -> Rate:
    """`50/hour`, `2,000 per day`; raises InvalidInput."""
    found = _WRITTEN.fullmatch(text.lower())
    if not found:
        raise InvalidInput(f"{text!r} is no rate; write for example 500/hour (second, minute, hour or day)")
    amount = int(re.sub(r"\D", "", found[1]))
    if not 1 <= amount <= MAX_AMOUNT:
        raise InvalidInput(f"a rate must allow 1 to {MAX_AMOUNT:,} messages")
    return Rate(amount, Period(found[2]))


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket holds at a time."""

    tokens: float
    filled_at: datetime

    def at(self, now: datetime, rate: Rate) -> "Level":
        """The level later; time that runs backwards adds nothing."""
        passed = max(0.0, (now - self.filled_at).total_seconds())
        tokens = min(float(rate.capacity), self.tokens + passed * rate.refill_per_second)
        return Level(max(0.0, tokens), max(now, self.filled_at))

    def available(self) -> int:
        # A refill of exactly one token must count as one in floating point, too.
        return floor(self.tokens + 1e-6)

    def ready_at(self, rate: Rate, *, above: int = 0) -> datetime:
        """When there is a whole token, `above` those that are left alone."""
        missing = max(0.0, above + 1.0 - self.tokens)
        return self.filled_at + timedelta(seconds=ceil(missing / rate.refill_per_second * 1000) / 1000)


def full(rate: Rate, now: datetime) -> Level:
    return Level(float(rate.capacity), now)
