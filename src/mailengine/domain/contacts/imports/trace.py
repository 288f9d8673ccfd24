"""What a batch did, in a form that lets it be taken back: ids in runs, and of changed contacts what was and what
is now, each only where the two differ."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mailengine.domain.contacts.imports.plan import Step
from mailengine.domain.contacts.suppression import Entry

Runs = list[list[int]]  # first id, how many
Change = dict[str, list[object]]  # field → what was, what is now
_FIELDS = ("email", "first_name", "last_name")
ATTRIBUTE = "attributes."


@dataclass(slots=True)
class Trace:
    """`joined`, `stayed_off` (of those: who had left), `rejoined` (the list) and `tagged` speak of contacts that were
    known before."""

    created: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    stayed_off: list[int] = field(default_factory=list)
    rejoined: list[int] = field(default_factory=list)
    tagged: list[tuple[int, int]] = field(default_factory=list)
    changed: list[Step] = field(default_factory=list)
    taken_out: list[Step] = field(
        default_factory=list
    )  # by a later row; some of `changed`, of this batch or another
    lifted: list[Entry] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not any(getattr(self, name) for name in self.__slots__)


def runs_of(ids: Iterable[int]) -> Runs:
    """Sorted ids as runs: those of new contacts follow one another."""
    runs: Runs = []
    for identity in sorted(ids):
        if runs and identity == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([identity, 1])
    return runs


def ids_of(runs: Sequence[Sequence[int]]) -> Iterator[int]:
    for first, count in runs:
        yield from range(first, first + count)


def change_of(step: Step) -> Change:
    """What the step made of a known contact."""
    known, profile = step.known, step.profile
    assert known is not None
    change: Change = {}
    for number, name in enumerate(_FIELDS):
        if known[number + 1] != profile[number]:
            change[name] = [known[number + 1], profile[number]]
    for name in known.attributes.keys() | profile.attributes.keys():
        was, now = known.attributes.get(name), profile.attributes.get(name)
        if was != now:
            change[ATTRIBUTE + name] = [was, now]
    if known.consent != profile.consent:
        change["consent"] = [_consent(known.consent), _consent(profile.consent)]
    if known.state != step.state:
        change["state"] = [known.state, step.state.value]
    if known.deleted:
        change["deleted"] = [True, False]
    return change


def _consent(consent: tuple[str, datetime | None, str]) -> list[str | None]:
    source, at, address = consent
    return [source, None if at is None else at.isoformat(), address]
