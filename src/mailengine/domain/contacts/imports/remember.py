"""What a batch did, written down in its own transaction, so that `undo` can take it back."""

from collections.abc import Sequence

import sqlalchemy as sa

from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts.imports.plan import Step
from mailengine.domain.contacts.imports.trace import Change, Trace, change_of, runs_of
from mailengine.models import ImportBatch, ImportChange, ImportLifted


async def record(tx: WriteTx, scope: Scope, job_id: JobId, number: int, trace: Trace) -> None:
    """Remember what a batch did, in its own transaction."""
    if trace.empty:
        return
    by_tag: dict[int, list[int]] = {}
    for tag_id, contact_id in trace.tagged:
        by_tag.setdefault(tag_id, []).append(contact_id)
    batch = {
        "job_id": job_id,
        "number": number,
        "tenant_id": scope.tenant_id,
        "created": runs_of(trace.created),
        "joined": runs_of(trace.joined),
        "stayed_off": runs_of(trace.stayed_off),
        "rejoined": runs_of(trace.rejoined),
        "tagged": {str(tag_id): runs_of(ids) for tag_id, ids in by_tag.items()},
    }
    await tx.execute(sa.insert(table_of(ImportBatch)), [batch])
    if trace.lifted:
        common = {"job_id": job_id, "tenant_id": scope.tenant_id}
        await tx.execute(
            sa.insert(table_of(ImportLifted)), [{**common, **entry._asdict()} for entry in trace.lifted]
        )
    changes = {step.known.id: change_of(step) for step in trace.changed if step.known is not None}
    if trace.taken_out:
        await _add_departures(tx, scope, job_id, changes, trace.taken_out)
    rows = [
        {"job_id": job_id, "contact_id": contact_id, "tenant_id": scope.tenant_id, "change": change}
        for contact_id, change in changes.items()
    ]
    if rows:
        await tx.execute(sa.insert(table_of(ImportChange)), rows)


async def _add_departures(
    tx: WriteTx, scope: Scope, job_id: JobId, changes: dict[int, Change], departed: Sequence[Step]
) -> None:
    """A contact has one change an import: what an earlier batch wrote comes back into `changes`."""
    ids, table = [step.known.id for step in departed if step.known is not None], table_of(ImportChange)
    earlier = await tx.execute(
        sa.delete(table)
        .where(table.c.tenant_id == scope.tenant_id, table.c.job_id == job_id, table.c.contact_id.in_(ids))
        .returning(table.c.contact_id, table.c.change)
    )
    changes |= {row.contact_id: row.change for row in earlier}
    for step in departed:
        assert step.known is not None
        change = changes.setdefault(step.known.id, {})
        was = change["state"][0] if "state" in change else step.known.state
        change["state"] = [was, step.state.value]
