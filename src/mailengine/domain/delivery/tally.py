"""What a process did, counted for the monitors: results by provider group and code, and how long things took.

Counting is done where outcomes are written, a batch at a time, so that a message costs two clock readings and
an append. A worker hands its numbers to the supervisor once a second (`take`), which adds up (`add`): so they
outlive the workers, and no file or memory is shared.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from mailengine.domain.delivery.outcome import Outcome
from mailengine.domain.delivery.provider_groups import GROUPS, group_of_host
from mailengine.models import TaskStatus

OTHER = "other"  # a label for each domain of the world would be too many
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CODE_DIGITS = 3

Result = tuple[str, str, str]  # what became of it, provider group, the server's code


@dataclass(slots=True)
class Timings:
    """A histogram: `counts[i]` took at most SECONDS[i] and more than the bound before; the last took longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total_seconds: float = 0.0

    def note(self, seconds: Iterable[float]) -> None:
        for each in seconds:
            self.counts[bisect_left(SECONDS, each)] += 1
            self.total_seconds += each

    def add(self, counts: Sequence[int], total_seconds: float) -> None:
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.total_seconds += total_seconds


@dataclass(slots=True)
class Tally:
    """Numbers since the start of the process, or since the last `take`."""

    results: Counter[Result] = field(default_factory=Counter)
    answers: Timings = field(default_factory=Timings)  # from the end of a message to the server's reply
    claims: Timings = field(default_factory=Timings)  # the transaction that takes a batch from the queue
    claimed: int = 0

    def note_claim(self, seconds: float, tasks: int) -> None:
        self.claims.note((seconds,))
        self.claimed += tasks

    def note_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.tried or outcome.status is TaskStatus.SKIPPED:
                self.results[(_named(outcome), provider_of(outcome.task.email), _code(outcome))] += 1

    def take(self) -> dict[str, Any] | None:
        """The numbers as JSON can carry them, which are forgotten then; None when nothing happened."""
        if not self.results and not self.claimed:
            return None
        told = {
            "results": [[*key, count] for key, count in self.results.items()],
            "answers": [self.answers.counts, self.answers.total_seconds],
            "claims": [self.claims.counts, self.claims.total_seconds],
            "claimed": self.claimed,
        }
        self.results, self.answers, self.claims, self.claimed = Counter(), Timings(), Timings(), 0
        return told

    def add(self, told: dict[str, Any]) -> Self:
        """What another process took."""
        for status, provider, code, count in told["results"]:
            self.results[(status, provider, code)] += count
        self.answers.add(*told["answers"])
        self.claims.add(*told["claims"])
        self.claimed += told["claimed"]
        return self


def provider_of(address: str) -> str:
    """The group by the address's own domain: the DNS is not asked for the sake of a number."""
    return _provider(address.rpartition("@")[2])


@lru_cache(maxsize=4096)  # a list has few domains, and each message asks
def _provider(domain: str) -> str:
    group = group_of_host(domain)
    return group if group in GROUPS else _FREE_MAIL.get(group, OTHER)


_FREE_MAIL = {"gmail.com": "google", "live.com": "microsoft", "msn.com": "microsoft", "ymail.com": "yahoo"}


def _named(outcome: Outcome) -> str:
    return "deferred" if outcome.status is TaskStatus.QUEUED else outcome.status.value


def _code(outcome: Outcome) -> str:
    """The reply's code (RFC 5321, section 4.2), empty where no server answered."""
    if outcome.code:
        return str(outcome.code)
    head = outcome.words[:_CODE_DIGITS]
    return head if len(head) == _CODE_DIGITS and head.isascii() and head.isdigit() else ""
