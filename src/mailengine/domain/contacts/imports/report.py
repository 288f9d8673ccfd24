"""What an import says of itself while it runs and when it is done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailengine.domain.contacts.imports.hints import hints
from mailengine.domain.contacts.imports.plan import Outcome, Step
from mailengine.domain.contacts.imports.rows import Rejected
from mailengine.domain.contacts.states import LEFT
from mailengine.models import AttributeKind, ContactState

ERRORS_SHOWN = 20


@dataclass(slots=True)
class Counts:
    """`rows` is the sum of the next six; those after them are parts of these."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    restored: int = 0
    duplicates: int = 0
    rejected: int = 0
    kept_unsubscribed: int = 0  # who left (or bounced, complained) and stays so
    suppressed: int = 0  # new, but their address or domain must not be mailed
    left: int = 0  # the file says that they unsubscribed, bounced …: new ones, and known ones taken out
    brought_back: int = 0  # by --override-suppression
    flagged: int = 0  # likely typos (gmial.com) and role addresses: stored, for somebody to look at

    def add_steps(self, steps: Iterable[Step], *, lifted: Set[str]) -> None:
        """`lifted`: keys of addresses that must not be mailed, and may be again."""
        outcomes: Counter[Outcome] = Counter()
        for step in steps:
            outcomes[step.outcome] += 1
            self.kept_unsubscribed += step.kept_out
            if step.state in LEFT:
                self.left += step.known is None or step.known.state != step.state
            elif step.row.key in lifted or (step.known is not None and step.known.state in LEFT):
                self.brought_back += 1
        self.created += outcomes[Outcome.CREATED]
        self.updated += outcomes[Outcome.UPDATED]
        self.unchanged += outcomes[Outcome.UNCHANGED]
        self.restored += outcomes[Outcome.RESTORED]
        self.rows += outcomes.total()

    def add_refused(self, *, rejected: int, duplicates: int) -> None:
        self.rejected += rejected
        self.duplicates += duplicates
        self.rows += rejected + duplicates

    def copy(self) -> "Counts":
        return replace(self)

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """`bytes_done` of `bytes_total` tells the part that is done better than rows, whose number is not known."""

    counts: Counts
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The end of an import; `state` is the job's (`done`, `cancelled`) or `dry-run`."""

    job: int | None
    state: str
    counts: Counts
    errors_file: Path | None
    errors: list[Rejected]
    format: str  # where it is known: Mailchimp, sheet Contacts …
    encoding: str
    delimiter: str
    mapping: dict[str, str]
    kinds: Mapping[str, AttributeKind]
    list_name: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, the same on every face."""
        return {
            "job": self.job,
            "state": self.state,
            "list": self.list_name,
            **self.counts.as_dict(),
            "errors_file": str(self.errors_file) if self.errors_file else None,
            "errors": [
                {"line": error.line, "reason": error.reason, "row": error.fields} for error in self.errors
            ],
            "format": self.format,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "mapping": self.mapping,
            "kinds": dict(self.kinds),
        }


def step_as_dict(step: Step, *, blocked: bool) -> dict[str, Any]:
    """A row as a dry run lists it: as it would be stored."""
    profile = step.profile
    return {
        "line": step.row.line,
        "outcome": step.outcome.value,
        "email": profile.email,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "attributes": dict(profile.attributes),
        "state": state_of(step, blocked=blocked).value,
        "tags": list(step.row.tags),
        "hints": hints(step.row.key),
        "kept_unsubscribed": step.kept_out,
    }


def state_of(step: Step, *, blocked: bool) -> ContactState:
    """The state that is stored: whoever must not be mailed is not, whatever the file says."""
    return ContactState.SUPPRESSED if blocked and step.state not in LEFT else step.state


def rejected_as_dict(rejected: Rejected) -> dict[str, Any]:
    return {
        "line": rejected.line,
        "outcome": Outcome.REJECTED.value,
        "reason": rejected.reason,
        "row": rejected.fields,
    }
