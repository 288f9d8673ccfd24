"""One batch into the database, in the transaction that is given. The statements differ by database, what is
done does not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import suppression
from mailengine.domain.contacts.imports import postgres_store, sqlite_store
from mailengine.domain.contacts.imports.plan import Columns, Consent, Known, OnDuplicate, Outcome, Step, plan
from mailengine.domain.contacts.imports.rows import Rejected, Row
from mailengine.domain.contacts.states import member_state_of
from mailengine.models import ContactState, MemberState

FORGOTTEN = "this person asked to be forgotten"


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every batch of an import. `list_id` is None in a dry run for a new list."""

    list_id: int | None
    on_duplicate: OnDuplicate
    columns: Columns
    consent: Consent
    hash_key: bytes


@dataclass(slots=True)
class Compared:
    """A batch beside what is stored."""

    steps: list[Step]
    forgotten: list[Rejected] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)  # keys of new contacts that must not be mailed


async def compare(tx: ReadTx, scope: Scope, rows: Sequence[Row], rules: Rules, *, lock: bool) -> Compared:
    """What would become of each row. `lock` keeps the stored contacts as they are until the commit."""
    keys = [row.key for row in rows]
    known = await _read_known(tx, scope, keys, rules, lock=lock)
    steps = plan(rows, known, rule=rules.on_duplicate, columns=rules.columns, consent=rules.consent)
    found = Compared(steps)
    new = [key for key in keys if key not in known]
    forgotten = await suppression.erased(tx, scope, new, hash_key=rules.hash_key)
    if forgotten:
        found.steps = [step for step in steps if step.row.key not in forgotten]
        # Without its cells: what is written beside it must not bring the person's data back.
        found.forgotten = [Rejected(row.line, FORGOTTEN, []) for row in rows if row.key in forgotten]
    found.blocked = await suppression.suppressed(tx, scope, new)
    return found


async def store(tx: WriteTx, scope: Scope, rows: Sequence[Row], rules: Rules, now: datetime) -> Compared:
    """Compare and store; the steps say what was done."""
    assert rules.list_id is not None
    found = await compare(tx, scope, rows, rules, lock=True)
    done: list[Step] = []
    todo = found
    while todo.steps:
        members, raced = await _store_steps(tx, scope, todo, now)
        lost = {step.row.key for step in raced}
        done += [step for step in todo.steps if step.row.key not in lost] if lost else todo.steps
        if members:
            await _statements(tx).join_list(tx, scope, members, list_id=rules.list_id, now=now)
        # Somebody else stored these addresses since we looked: now they are known.
        todo = await compare(tx, scope, [step.row for step in raced], rules, lock=True)
    found.steps = done
    return found


async def _store_steps(
    tx: WriteTx, scope: Scope, todo: Compared, now: datetime
) -> tuple[list[tuple[int, str]], list[Step]]:
    """New list members with their states, and the steps that lost a race for a new address."""
    statements = _statements(tx)
    new = [step for step in todo.steps if step.known is None]
    changed = [step for step in todo.steps if step.outcome in (Outcome.UPDATED, Outcome.RESTORED)]
    members: list[tuple[int, str]] = []
    raced: list[Step] = []
    if new:
        states = [_state_of(step, todo.blocked) for step in new]
        stored = await statements.insert(tx, scope, new, states, now)
        # Subscribed and suppressed contacts alike are subscribed to the list: the suppression decides.
        members += [(identity, MemberState.SUBSCRIBED.value) for identity, _step in stored]
        if len(stored) < len(new):
            kept = {step.row.key for _identity, step in stored}
            raced = [step for step in new if step.row.key not in kept]
    if changed:
        await statements.update(tx, scope, changed, now)
    members += [
        (step.known.id, member_state_of(ContactState(step.known.state)).value)
        for step in todo.steps
        if step.known is not None and step.known.member_state is None
    ]
    return members, raced


def _state_of(step: Step, blocked: set[str]) -> ContactState:
    return ContactState.SUPPRESSED if step.row.key in blocked else ContactState.SUBSCRIBED


async def _read_known(
    tx: ReadTx, scope: Scope, keys: Sequence[str], rules: Rules, *, lock: bool
) -> dict[str, Known]:
    found: dict[str, Known] = await _statements(tx).read_known(
        tx, scope, keys, list_id=rules.list_id, lock=lock
    )
    return found


def _statements(tx: ReadTx) -> ModuleType:
    return postgres_store if tx.postgres else sqlite_store
