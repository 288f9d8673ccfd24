"""When a message that was refused for now is tried again.

Exponential with full-range jitter (half to one and a half of the step), so that the retries of a burst spread
out; mailboxes that greylist want minutes, not seconds (RFC 5321 4.5.4.1 asks for at least 30 minutes between
tries to a host; the first retries are shorter because most greylisting ends after 1 to 5 minutes).
A server in trouble is left alone for seconds, up to a minute.
"""

import asyncio
import random
from datetime import datetime, timedelta

_STEPS_SECONDS = (60, 300, 900, 1800, 3600, 7200, 14400)
_LANE_STEPS_SECONDS = (1, 2, 5, 15, 30, 60)


def next_try(attempts: int, now: datetime, chance: random.Random) -> datetime:
    """The time of the next try after `attempts` refusals (1 for the first)."""
    step = _STEPS_SECONDS[min(attempts, len(_STEPS_SECONDS)) - 1]
    return now + timedelta(seconds=step * (0.5 + chance.random()))


def lane_pause_seconds(failures: int, chance: random.Random) -> float:
    """How long a server that cannot be reached, or asks for less, is left alone after so many failures."""
    step = _LANE_STEPS_SECONDS[min(failures, len(_LANE_STEPS_SECONDS)) - 1]
    return step * (0.5 + chance.random())


class Pause:
    """While a server is left alone; longer after each failure that no success came between."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0  # the event loop's time
        self.length_seconds = 0.0  # of the last one

    @property
    def seconds(self) -> float:
        """How long it still lasts; 0 when it is over."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def begin(self, chance: random.Random) -> float | None:
        """Its seconds; None while one lasts: ten connections that meet the same trouble are one failure, not ten."""
        if self.seconds > 0:
            return None
        self._failures += 1
        self.length_seconds = lane_pause_seconds(self._failures, chance)
        self._until = asyncio.get_running_loop().time() + self.length_seconds
        return self.length_seconds

    def success(self) -> None:
        self._failures = 0
