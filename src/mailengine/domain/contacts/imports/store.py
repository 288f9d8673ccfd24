"""One batch into the database, in the transaction that is given. The statements differ by database, what is
done does not."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import ListId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import consents, lists, suppression, tags
from mailengine.domain.contacts.imports import postgres_store, sqlite_store
from mailengine.domain.contacts.imports.plan import Columns, Consent, Known, OnDuplicate, Outcome, Step, plan
from mailengine.domain.contacts.imports.report import state_of
from mailengine.domain.contacts.imports.rows import Rejected, Row
from mailengine.domain.contacts.imports.source import Batch
from mailengine.domain.contacts.imports.trace import Trace
from mailengine.domain.contacts.states import LEFT, WITHDREW, member_state_of, move_ids
from mailengine.models import ConsentAct, Contact, ContactState, MemberState

_CHUNK = 5000  # ids a statement; PostgreSQL takes 32,767 parameters, SQLite 32,766
_LEFT_LIST = MemberState.UNSUBSCRIBED
FORGOTTEN = "this person asked to be forgotten"


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every batch of an import. `list_id` is None in a dry run for a new list."""

    list_id: int | None
    on_duplicate: OnDuplicate
    columns: Columns
    consent: Consent
    hash_key: bytes
    tags: tuple[str, ...] = ()
    override: bool = False


@dataclass(slots=True)
class Compared:
    """A batch beside what is stored."""

    steps: list[Step]
    trace: Trace = field(default_factory=Trace)
    forgotten: list[Rejected] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)  # keys of new contacts that must not be mailed
    lifted: set[str] = field(default_factory=set)  # … of addresses that must not be mailed, and may be again
    taken_out: int = 0  # by a later row of the file


async def compare(tx: ReadTx, scope: Scope, rows: Sequence[Row], rules: Rules, *, lock: bool) -> Compared:
    """What would become of each row. `lock` keeps the stored contacts as they are until the commit."""
    keys = [row.key for row in rows]
    known = await _read_known(tx, scope, keys, rules, lock=lock)
    steps = plan(
        rows,
        known,
        rule=rules.on_duplicate,
        columns=rules.columns,
        consent=rules.consent,
        override=rules.override,
    )
    found = Compared(steps)
    if rules.override:
        await _keep_domains_out(tx, scope, found)
        back = [step.row.key for step in found.steps if step.state not in LEFT]
        found.lifted = await suppression.named(tx, scope, back, hash_key=rules.hash_key)
        return found
    new = [key for key in keys if key not in known]
    back = [key for key, person in known.items() if person.deleted]
    forgotten = await suppression.erased(tx, scope, new + back, hash_key=rules.hash_key)
    if forgotten:
        found.steps = [step for step in steps if step.row.key not in forgotten]
        # Without its cells: what is written beside it must not bring the person's data back.
        found.forgotten = [Rejected(row.line, FORGOTTEN, []) for row in rows if row.key in forgotten]
    found.blocked = await suppression.suppressed(tx, scope, new)
    return found


async def _keep_domains_out(tx: ReadTx, scope: Scope, found: Compared) -> None:
    """Who is brought back against a suppression of their whole domain is not."""
    keys = [step.row.key for step in found.steps]
    found.blocked = await suppression.suppressed(tx, scope, keys, by_address=False)
    if found.blocked:
        found.steps = [
            step._replace(state=ContactState(step.known.state), kept_out=True)
            if step.known is not None and step.row.key in found.blocked
            else step
            for step in found.steps
        ]


async def store(
    tx: WriteTx,
    scope: Scope,
    batch: Batch,
    rules: Rules,
    now: datetime,
    *,
    compared: Callable[[], object],
    in_turn: Callable[[], Awaitable[None]],
) -> Compared:
    """Compare and store; the steps say what was done, the trace how to take it back. `compared` is called when the
    rest is the database's work, `in_turn` waits for the batches before this one that are stored beside it."""
    found = await compare(tx, scope, batch.rows, rules, lock=True)
    compared()
    trace = found.trace
    if found.lifted:
        trace.lifted = await suppression.lift(tx, scope, found.lifted, hash_key=rules.hash_key, now=now)
    done: list[Step] = []
    todo = found
    while todo.steps:
        raced = await _store_steps(tx, scope, todo, rules, trace, now, in_turn)
        lost = {step.row.key for step in raced}
        done += [step for step in todo.steps if step.row.key not in lost] if lost else todo.steps
        if not raced:
            break
        # Somebody else stored these addresses since we looked: now they are known.
        todo = await compare(tx, scope, [step.row for step in raced], rules, lock=True)
    found.steps = done
    if leavers := batch.leavers:
        await in_turn()  # the first row of theirs may be in a batch before
        found.taken_out = await _take_out(tx, scope, leavers, rules, trace, now)
    return found


async def _take_out(
    tx: WriteTx, scope: Scope, leavers: Sequence[Row], rules: Rules, trace: Trace, now: datetime
) -> int:
    """Whoever a later row of the file says has left; nothing else of that row counts. Returns how many."""
    known = await _read_known(tx, scope, [row.key for row in leavers], rules, lock=True)
    steps = plan(
        [row for row in leavers if row.key in known],
        known,
        rule=OnDuplicate.SKIP,
        columns=rules.columns,
        consent=rules.consent,
    )
    out = [step for step in steps if step.outcome is Outcome.UPDATED]
    if not out:
        return 0
    await _move(tx, scope, out, now)
    await _withdraw(tx, scope, [(step.known.id, step) for step in out if step.known], rules, now)
    # Those that this import made go with it when it is taken back.
    ids, began = [step.known.id for step in out if step.known], rules.consent[1]
    earlier = set(
        await tx.scalars(
            sa.select(col(Contact.id)).where(
                tenant_of(Contact) == scope.tenant_id,
                col(Contact.id).in_(ids),
                col(Contact.created_at) < began,
            )
        )
    )
    trace.taken_out += [step for step in out if step.known and step.known.id in earlier]
    return len(out)


async def _store_steps(
    tx: WriteTx,
    scope: Scope,
    todo: Compared,
    rules: Rules,
    trace: Trace,
    now: datetime,
    in_turn: Callable[[], Awaitable[None]],
) -> list[Step]:
    """Contacts, list and tags; returns the steps that lost a race for a new address."""
    statements = _statements(tx)
    new = [step for step in todo.steps if step.known is None]
    known = [step for step in todo.steps if step.known is not None]
    stored: list[tuple[int, Step]] = []
    raced: list[Step] = []
    if new:
        states = [state_of(step, blocked=step.row.key in todo.blocked) for step in new]
        stored = await statements.insert(tx, scope, new, states, now)
        created = [identity for identity, _step in stored]
        await consents.keep_standing(tx, scope, created, new=True)
        await _withdraw(tx, scope, stored, rules, now)
        trace.created += created
        if len(stored) < len(new):
            kept = {step.row.key for _identity, step in stored}
            raced = [step for step in new if step.row.key not in kept]
    changed = [step for step in known if step.outcome in (Outcome.UPDATED, Outcome.RESTORED)]
    if changed:
        agreed = [(step.known.id, _agreement(step)) for step in changed if step.known and _agreed_anew(step)]
        await consents.record_all(tx, scope, agreed, now=now, stored=True)
        await statements.update(tx, scope, changed, now)
        await _move(tx, scope, changed, now)
        gone = [(step.known.id, step) for step in changed if step.known and step.known.state != step.state]
        await _withdraw(tx, scope, gone, rules, now)
        trace.changed += changed
    await _join(tx, scope, stored, known, rules, trace, now)
    await _tag(tx, scope, stored, known, rules, trace, now, in_turn)
    return raced


async def _move(tx: WriteTx, scope: Scope, changed: Sequence[Step], now: datetime) -> None:
    by_state: dict[ContactState, list[int]] = {}
    for step in changed:
        if step.known is not None and step.known.state != step.state:
            by_state.setdefault(step.state, []).append(step.known.id)
    for state, ids in by_state.items():
        for start in range(0, len(ids), _CHUNK):
            await move_ids(tx, scope, ids[start : start + _CHUNK], state, now)


async def _withdraw(
    tx: WriteTx, scope: Scope, people: Sequence[tuple[int, Step]], rules: Rules, now: datetime
) -> None:
    """The file says that they left: that is an act of theirs like their agreement."""
    act = consents.Act(ConsentAct.WITHDRAWN, rules.consent[0])
    acts = [(identity, act) for identity, step in people if step.state in WITHDREW]
    await consents.record_all(tx, scope, acts, now=now)


async def _join(
    tx: WriteTx,
    scope: Scope,
    stored: Sequence[tuple[int, Step]],
    known: Sequence[Step],
    rules: Rules,
    trace: Trace,
    now: datetime,
) -> None:
    # Suppressed and bounced contacts too are subscribed to the list: the contact's own state decides.
    members: dict[str, list[int]] = {}
    for identity, step in stored:
        members.setdefault(member_state_of(step.state).value, []).append(identity)
    for step in known:
        if step.known is not None and step.known.member_state is None:
            state = member_state_of(step.state).value
            members.setdefault(state, []).append(step.known.id)
            trace.joined.append(step.known.id)
            if state == _LEFT_LIST:
                trace.stayed_off.append(step.known.id)
    if members:
        await _statements(tx).join_list(tx, scope, members, list_id=rules.list_id, now=now)
    if rules.override and rules.list_id is not None:
        back = [step.known.id for step in known if step.known and step.known.member_state == _LEFT_LIST]
        await lists.rejoin(tx, scope, list_id=ListId(rules.list_id), contact_ids=back)
        trace.rejoined += back


async def _tag(
    tx: WriteTx,
    scope: Scope,
    stored: Sequence[tuple[int, Step]],
    known: Sequence[Step],
    rules: Rules,
    trace: Trace,
    now: datetime,
    in_turn: Callable[[], Awaitable[None]],
) -> None:
    """The tags of each row and those for everybody; what known contacts get is remembered."""
    before = [(step.known.id, step) for step in known if step.known is not None]
    # In the file's order: a tag is written as it was first.
    names = dict.fromkeys(
        (*rules.tags, *(name for _identity, step in (*stored, *before) for name in step.row.tags))
    )
    if not names:
        return
    if not await tags.all_known(tx, scope, names):
        await in_turn()  # a batch before would wait for our new tag, and we for its commit
    ids = await tags.ids_of(tx, scope, names, now=now)
    await _statements(tx).tag(tx, scope, _by_tag(stored, rules.tags, ids))
    trace.tagged += await _statements(tx).tag_known(tx, scope, _by_tag(before, rules.tags, ids))


def _by_tag(
    people: Sequence[tuple[int, Step]], common: Sequence[str], ids: Mapping[str, int]
) -> dict[int, list[int]]:
    """Tag id → contact ids, both in order: two imports that meet wait for each other, never crosswise."""
    found: dict[int, list[int]] = {ids[name]: [identity for identity, _step in people] for name in common}
    for identity, step in people:
        for name in step.row.tags:
            found.setdefault(ids[name], []).append(identity)
    return {tag_id: sorted(found[tag_id]) for tag_id in sorted(found)}


def _agreed_anew(step: Step) -> bool:
    return step.known is not None and step.profile.consent != step.known.consent


def _agreement(step: Step) -> consents.Act:
    source, _at, ip = step.profile.consent
    return consents.Act(ConsentAct.GIVEN, source, ip)


async def _read_known(
    tx: ReadTx, scope: Scope, keys: Sequence[str], rules: Rules, *, lock: bool
) -> dict[str, Known]:
    found: dict[str, Known] = await _statements(tx).read_known(
        tx, scope, keys, list_id=rules.list_id, lock=lock
    )
    return found


def _statements(tx: ReadTx) -> ModuleType:
    return postgres_store if tx.postgres else sqlite_store
