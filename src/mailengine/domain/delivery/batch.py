"""One claim while it is worked on: its journal, what is still in hand, and the outcomes not yet written."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mailengine.core.scope import Scope
from mailengine.domain.content.values import Person
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.claim import ClaimedTask, RunningCampaign
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.journal import WireJournal
from mailengine.domain.delivery.outcome import Outcome


@dataclass(slots=True)
class Job:
    """One message to send: the `ref` of its envelope."""

    batch: "Batch"
    slot: int
    task: ClaimedTask
    person: Person


@dataclass(slots=True)
class Batch:
    """Every task ends in exactly one outcome; `open` counts those that have none yet."""

    campaign: RunningCampaign
    claim_token: str
    journal: WireJournal
    composer: Composer
    open: int
    deadline: float  # on the worker's clock: after it the lease may be over and nothing more is sent
    on_outcome: Callable[["Batch"], None]
    outcomes: list[Outcome] = field(default_factory=list)

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
