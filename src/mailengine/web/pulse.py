"""What this process knows of itself for whoever asks after its health: its roles, its workers and their numbers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mailengine.domain.delivery.tally import Tally
from mailengine.domain.tracking.intake import HitBuffer


@dataclass(slots=True)
class Pulse:
    """One per daemon, shared by its roles. `last_processed`: when a worker last told that it had done something."""

    roles: frozenset[str] = frozenset()
    hits: HitBuffer = field(default_factory=HitBuffer)
    tally: Tally = field(default_factory=Tally)
    workers: int = 0
    last_processed: datetime | None = None

    def told(self, numbers: dict[str, Any], now: datetime) -> None:
        """Take up what a worker counted."""
        self.tally.add(numbers)
        self.last_processed = now
