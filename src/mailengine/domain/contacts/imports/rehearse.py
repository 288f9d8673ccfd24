"""What an import would do, without doing it: the same reading and comparing, and nothing is stored."""

import asyncio
from collections.abc import Callable
from typing import Any

from mailengine.core.scope import Scope
from mailengine.domain.contacts import attributes, lists
from mailengine.domain.contacts.imports.ahead import batches
from mailengine.domain.contacts.imports.report import (
    ERRORS_SHOWN,
    Counts,
    ImportProgress,
    ImportReport,
    rejected_as_dict,
    step_as_dict,
)
from mailengine.domain.contacts.imports.request import (
    FOLDER,
    ImportRequest,
    Surroundings,
    check_rights,
    read_source,
    rules_of,
    with_kinds,
)
from mailengine.domain.contacts.imports.rows import Rejected
from mailengine.domain.contacts.imports.source import Batch, Source
from mailengine.domain.contacts.imports.store import Compared, compare
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.contacts.states import LEFT

RowSink = Callable[[dict[str, Any]], None]


async def rehearse(
    around: Surroundings, scope: Scope, request: ImportRequest, *, each_row: RowSink | None = None
) -> ImportReport:
    """The report that the import would give; `each_row` gets every row as it would be stored."""
    check_rights(scope, request)
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        return await _compared(around, scope, request, source, each_row)


async def _compared(
    around: Surroundings, scope: Scope, request: ImportRequest, source: Source, each_row: RowSink | None
) -> ImportReport:
    async with around.db.read(scope) as tx:
        source = await with_kinds(tx, scope, source)
        await attributes.check_room(tx, scope, source.columns.attributes)
        target = await lists.find_list(tx, scope, name=request.list_name)
    rules = rules_of(request, source, around, list_id=target.id if target else None)
    counts, errors = Counts(), list[Rejected]()
    async with batches(source, now=around.clock.now()) as found:
        async for batch in found:
            found.read_on()
            if around.cancelled():
                break
            async with around.db.read(scope) as tx:
                compared = await compare(tx, scope, batch.rows, rules, lock=False)
                leavers = await compare(tx, scope, batch.leavers, rules, lock=False)
            rejected = sorted(batch.rejected + compared.forgotten)
            counts.add_steps(compared.steps, lifted=compared.lifted)
            counts.left += sum(
                step.state in LEFT and (step.known is None or step.state != step.known.state)
                for step in leavers.steps
            )
            counts.add_refused(rejected=len(rejected), duplicates=len(batch.duplicates))
            counts.suppressed += len(compared.blocked)
            counts.flagged += batch.flagged
            errors += rejected[: ERRORS_SHOWN - len(errors)]
            if each_row is not None:
                _tell(each_row, batch, compared, rejected)
            around.progress(ImportProgress(counts.copy(), batch.bytes_done, source.facts.size_bytes))
    return ImportReport(
        job=None,
        state="dry-run",
        counts=counts,
        errors_file=None,
        errors=errors,
        format=source.format,
        encoding=source.facts.decoding.label,
        delimiter=source.dialect.label,
        mapping=source.columns.shown(),
        kinds=source.kinds,
        list_name=request.list_name,
    )


def _tell(each_row: RowSink, batch: Batch, compared: Compared, rejected: list[Rejected]) -> None:
    """Every row of the batch in the order of the file."""
    told = [step_as_dict(step, blocked=step.row.key in compared.blocked) for step in compared.steps]
    told += [rejected_as_dict(row) for row in rejected]
    told += [{"line": row.line, "outcome": "duplicate", "email": row.email} for row in batch.duplicates]
    for row in sorted(told, key=lambda row: int(row["line"])):
        each_row(row)
