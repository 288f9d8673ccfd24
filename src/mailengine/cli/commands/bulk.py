"""`mailengine contacts bulk`: one act for everybody whom a segment or a rule describes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.commands.segments import read_rule
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput
from mailengine.core.wording import counted

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.contacts.bulk import BulkRequest
    from mailengine.models import Job
    from mailengine.runtime import Runtime


def bulk(
    ctx: typer.Context,
    act: Annotated[
        str, typer.Argument(help="delete, tag, untag, add-to-list, remove-from-list or unsubscribe.")
    ],
    name: Annotated[str, typer.Argument(help="The tag or the list.")] = "",
    segment: Annotated[str | None, typer.Option(help="For everybody in this segment.")] = None,
    rule: Annotated[str | None, typer.Option(help="For everybody whom this rule describes.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    later: Annotated[bool, typer.Option(help="Leave it to the daemon and return at once.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete, tag, untag, put on or off a list, or unsubscribe everybody in a segment, as a job."""
    from mailengine.domain.contacts.bulk import Act, BulkRequest

    if act not in set(Act):
        raise InvalidInput(f"{act} is no act; use one of {', '.join(Act)}")
    request = BulkRequest(Act(act), name, segment=segment, rule=None if rule is None else read_rule(rule))
    job = in_tenant(ctx, lambda rt, scope: _asked(rt, scope, request, yes=yes, later=later))
    shown = {name: getattr(job, name) for name in ("id", "state", "title", "done", "total")}
    output.emit({**shown, "changed": job.result["changed"]}, as_json=as_json)


async def _asked(rt: "Runtime", scope: "Scope", request: "BulkRequest", *, yes: bool, later: bool) -> "Job":
    """Count and ask before the job is there; then do it here, unless the daemon is to."""
    from mailengine.core.ids import JobId
    from mailengine.domain.contacts.bulk import request_bulk
    from mailengine.domain.jobs import jobs

    async with rt.db.read(scope) as read:
        number = await _count(read, scope, request, rt)
    whom = counted(number, "contact", "contacts")
    confirm(f"{request.act.value} {request.name} for {whom}?".replace("  ", " "), yes=yes)
    async with rt.db.write(scope) as tx:
        job = await request_bulk(tx, scope, request, now=rt.clock.now())
        job_id = JobId(job.id or 0)
        if not later:
            await jobs.start(tx, scope, job_id=job_id, now=rt.clock.now())
    if not later:
        await _work(rt, scope, job_id)
    async with rt.db.read(scope) as read:
        return await jobs.get(read, scope, job_id=job_id)


async def _count(tx: Any, scope: "Scope", request: "BulkRequest", rt: "Runtime") -> int:
    from mailengine.domain.contacts.segments import find, saved

    if (request.segment is None) == (request.rule is None):
        raise InvalidInput("say for whom: --segment or --rule, and not both")
    if request.segment is not None:
        rule = saved.rule_of(await saved.get(tx, scope, name=request.segment))
    else:
        assert request.rule is not None
        rule = await find.checked(tx, scope, request.rule)
    return await find.count(tx, scope, rule, now=rt.clock.now())


async def _work(rt: "Runtime", scope: "Scope", job_id: Any) -> None:
    """Page by page; a daemon that runs may do some of the pages."""
    from mailengine.domain.contacts.bulk import bulk_page

    while True:
        async with rt.db.write(scope) as tx:
            if not await bulk_page(tx, scope, job_id=job_id, now=rt.clock.now()):
                return
