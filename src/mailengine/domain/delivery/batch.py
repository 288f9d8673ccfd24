"""One claim while it is worked on: its journal, what is still in hand, and the outcomes not yet written."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.content.values import Person
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.claim import ClaimedTask, RunningCampaign, renew
from mailengine.domain.delivery.compose import Composed, Composer
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
    settled_at: float = 0.0  # when the last claim had all its outcomes

    def __post_init__(self) -> None:
        self.size = min(self.size, self.largest)

    def learn(self, count: int, *, ready_at: float, settled_at: float) -> None:
        """Grow or shrink towards claims of half a second of sending.

        `count` messages could leave from `ready_at` on. What the database took before and after, and the wait behind
        the claim before, do not count: a slow database would make claims smaller, and these make it slower still.
        """
        sending_seconds = settled_at - max(ready_at, self.settled_at)
        self.settled_at = settled_at
        if count * 2 < self.size:
            return  # the end of a campaign, or of a limit: the round trips of a few messages are no pace
        fitting = count * _TARGET_SECONDS / max(sending_seconds, 0.001)
        size = int(min(self.size * 2.0, max(self.size * 0.5, fitting)))
        self.size = min(max(SMALLEST, size), self.largest)


@dataclass(slots=True)
class Job(ABC):
    """One message to send: the `ref` of its envelope."""

    batch: "Batch"
    slot: int
    task: ClaimedTask

    @abstractmethod
    def compose(self, now: datetime) -> Composed:
        """The message as it goes out; raises InvalidInput when this recipient cannot be written to."""


@dataclass(slots=True, kw_only=True)
class Batch(ABC):
    """Every task ends in exactly one outcome; `open` counts those that have none yet.

    Times are `hand.boot_seconds()`; after `deadline` the lease may be over and nothing more is sent.
    """

    scope: Scope
    claim_token: str
    journal: WireJournal
    rates: Mapping[str, Rate]  # the buckets that each message took from
    open: int
    on_outcome: Callable[["Batch"], None]
    outcomes: list[Outcome] = field(default_factory=list)
    written_at: float = 0.0
    deadline: float = 0.0
    settled_at: float = 0.0
    claim_seconds: float = 0.0  # what the claim's transaction took
    answer_seconds: list[float] = field(default_factory=list)  # of each reply since the last writing

    @property
    def unwritten(self) -> int:
        """How many of its tasks are still claimed where the database is asked."""
        return self.open + len(self.outcomes)

    @abstractmethod
    async def record(self, tx: WriteTx, outcomes: Sequence[Outcome], *, now: datetime) -> None:
        """Write outcomes, under the claim token only."""

    @abstractmethod
    async def renew(self, tx: WriteTx, *, now: datetime) -> None:
        """Push the lease of what is still claimed."""

    def finished(self) -> None:  # noqa: B027  # most have nothing to learn
        """Everything is written."""

    def settle(self, result: Outcome) -> None:
        self.outcomes.append(result)
        self.open -= 1
        self.on_outcome(self)

    def release(self, job: Job) -> None:
        """Give a task back that was not on the wire."""
        self.settle(outcome.released(job.task))


@dataclass(slots=True, kw_only=True)
class CampaignBatch(Batch):
    """A claim of one campaign's tasks."""

    campaign: RunningCampaign
    composer: Composer
    pace: Pace
    ready: int = 0  # so many of its messages were given to the carrier
    ready_at: float = 0.0

    async def record(self, tx: WriteTx, outcomes: Sequence[Outcome], *, now: datetime) -> None:
        await outcome.record(
            tx,
            self.scope,
            campaign_id=self.campaign.campaign_id,
            claim_token=self.claim_token,
            outcomes=outcomes,
            now=now,
        )

    async def renew(self, tx: WriteTx, *, now: datetime) -> None:
        await renew(tx, self.scope, claim_token=self.claim_token, now=now)

    def finished(self) -> None:
        self.pace.learn(self.ready, ready_at=self.ready_at, settled_at=self.settled_at)


@dataclass(slots=True)
class CampaignJob(Job):
    """A campaign's message to one person."""

    batch: CampaignBatch
    person: Person

    def compose(self, now: datetime) -> Composed:
        return self.batch.composer.compose(self.task.id, self.task.attempts, self.person, now)
