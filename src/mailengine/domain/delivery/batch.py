"""One claim while it is worked on: its journal, what is still in hand, and the outcomes not yet written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailengine.core.scope import Scope
from mailengine.domain.content.values import Person
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.claim import ClaimedTask, RunningCampaign
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.outcome import Outcome

_TARGET_SECONDS = 0.5  # a claim holds about this much work, so that little is given back on a pause
SMALLEST = 50


@dataclass(slots=True)
class Pace:
    """How a campaign's claims go: the size of the next one and when it is worth asking."""

    largest: int
    size: int = SMALLEST
    next_claim: float = 0.0

    def learn(self, took_seconds: float) -> None:
        """Grow or shrink towards claims of half a second."""
        factor = min(2.0, max(0.5, _TARGET_SECONDS / max(took_seconds, 0.001)))
        self.size = max(min(SMALLEST, self.largest), min(int(self.size * factor), self.largest))


@dataclass(slots=True)
class Job:
    """One message to send: the `ref` of its envelope."""

    batch: "Batch"
    slot: int
    task: ClaimedTask
    person: Person


@dataclass(slots=True)
class Batch:
    """Every task ends in exactly one outcome; `open` counts those that have none yet.

    Times are `hand.boot_seconds()`; after `deadline` the lease may be over and nothing more is sent.
    """

    campaign: RunningCampaign
    claim_token: str
    journal: WireJournal
    composer: Composer
    pace: Pace
    rates: Mapping[str, Rate]  # the buckets that each message took from
    open: int
    on_outcome: Callable[["Batch"], None]
    outcomes: list[Outcome] = field(default_factory=list)
    claimed_at: float = 0.0
    written_at: float = 0.0
    deadline: float = 0.0

    @property
    def scope(self) -> Scope:
        return Scope(self.campaign.tenant_id, "role:worker")

    def settle(self, result: Outcome) -> None:
        self.outcomes.append(result)
        self.open -= 1
        self.on_outcome(self)

    def release(self, job: Job) -> None:
        """Give a task back that was not on the wire."""
        self.settle(outcome.released(job.task))
