"""What an import does to each contact: a pure comparison of the file's row with what is stored.

Invariants: a file may say that a person left, and then they are out; that they are back is for them to say. So
without `override` no state changes but away from `subscribed`, nor the membership of a list that somebody is or
was on. A deleted contact that a file brings again is revived as it was, its state included.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from mailengine.domain.contacts.imports.rows import Row
from mailengine.domain.contacts.states import LEFT, TRANSITIONS, WITHDREW
from mailengine.models import ContactState, MemberState


class OnDuplicate(StrEnum):
    """What happens to a contact that is known already."""

    SKIP = "skip"  # nothing, it only joins the list
    UPDATE = "update"  # what the file says is taken over, what it leaves empty stays
    OVERWRITE = "overwrite"  # the file's columns replace the contact's, blanks included


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    RESTORED = "restored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


Consent = tuple[str, datetime | None, str]


class Known(NamedTuple):
    """A stored contact, and its state on the list that is imported to (None: not on it)."""

    id: int
    email: str
    first_name: str
    last_name: str
    attributes: dict[str, object]
    consent: Consent
    state: str
    deleted: bool
    member_state: str | None


class Profile(NamedTuple):
    """What of a contact an import may write."""

    email: str
    first_name: str
    last_name: str
    attributes: Mapping[str, object]
    consent: Consent


class Step(NamedTuple):
    """What becomes of one row; `profile` is what is stored, `known` None for a new contact."""

    row: Row
    outcome: Outcome
    known: Known | None
    profile: Profile
    kept_out: bool  # they left or must not be mailed, and stay so
    state: ContactState  # when this is done; a suppression may still turn a new contact's to `suppressed`


_NO_CONSENT: Consent = ("", None, "")


class Columns(NamedTuple):
    """Which columns a file has: overwriting means those only."""

    first_name: bool
    last_name: bool
    attributes: frozenset[str]


def plan(
    rows: Iterable[Row],
    known: Mapping[str, Known],
    *,
    rule: OnDuplicate,
    columns: Columns,
    consent: Consent,
    override: bool = False,
) -> list[Step]:
    """One step for each row; `consent` holds where neither file nor contact says anything, nor that they left.
    `override` brings back those who left, unless the file says that they did."""
    steps: list[Step] = []
    for row in rows:
        if row.consent is not None and not row.consent[0]:  # a date without a source
            row = row._replace(consent=(consent[0], *row.consent[1:]))
        found = known.get(row.key)
        if found is None:
            state = row.state or ContactState.SUBSCRIBED
            agreed = row.consent or (_NO_CONSENT if state in WITHDREW else consent)
            profile = Profile(row.email, row.first_name, row.last_name, row.attributes, agreed)
            steps.append(Step(row, Outcome.CREATED, None, profile, False, state))
        else:
            steps.append(_known_step(row, found, rule, columns, override))
    return steps


def _known_step(row: Row, known: Known, rule: OnDuplicate, columns: Columns, override: bool) -> Step:
    profile = _merged(row, known, rule, columns)
    was = ContactState(known.state)
    state = _moved(row, was, override)
    if known.deleted:
        outcome = Outcome.RESTORED
    elif profile == known[1:6] and state is was:
        outcome = Outcome.UNCHANGED
    else:
        outcome = Outcome.UPDATED
    left = known.member_state == MemberState.UNSUBSCRIBED and not override
    return Step(row, outcome, known, profile, left or (was in LEFT and state in LEFT), state)


def _moved(row: Row, was: ContactState, override: bool) -> ContactState:
    """What the file's word does to the state of a known contact: nothing, or the way out."""
    if row.state in LEFT:
        return row.state if row.state in TRANSITIONS[was] and was not in LEFT else was
    return ContactState.SUBSCRIBED if override and was in LEFT else was


def _merged(row: Row, known: Known, rule: OnDuplicate, columns: Columns) -> Profile:
    match rule:
        case OnDuplicate.SKIP:
            return Profile(*known[1:6])
        case OnDuplicate.UPDATE:
            return Profile(
                known.email,
                row.first_name or known.first_name,
                row.last_name or known.last_name,
                {**known.attributes, **row.attributes},
                known.consent if known.consent[0] or row.consent is None else row.consent,
            )
        case OnDuplicate.OVERWRITE:
            kept = {name: value for name, value in known.attributes.items() if name not in columns.attributes}
            return Profile(
                row.email,
                row.first_name if columns.first_name else known.first_name,
                row.last_name if columns.last_name else known.last_name,
                {**kept, **row.attributes},
                row.consent or known.consent,
            )
