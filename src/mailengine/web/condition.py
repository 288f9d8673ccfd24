"""Whether the installation works: for the web port and the health port.

Knows no web framework: a process that only sends answers its monitor without loading one.
"""

from typing import Literal

import msgspec

from mailengine.core.errors import Unavailable
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import translated_errors
from mailengine.domain.reports.liveness import scheduler_runs, worker_runs
from mailengine.domain.reports.queue import QueueFigures, queue_figures
from mailengine.migrations.run import check_current
from mailengine.runtime import Runtime
from mailengine.web.pulse import Pulse

_INSTANCE = InstanceScope("health")


class Condition(msgspec.Struct):
    """`problem` is one line for a person, without addresses or names of the installation's parts."""

    status: Literal["ok", "failing"]
    database: Literal["ok", "failing"]
    scheduler: Literal["ok", "not running"]
    worker: Literal["ok", "not running"]
    hits_waiting: int
    hits_dropped: int
    problem: str = ""


class WorkerCondition(msgspec.Struct):
    """What the health port of a sending process tells, besides."""

    condition: Condition
    processes: int
    queue_depth: int
    oldest_due_seconds: float
    last_processed: str | None


async def condition(rt: Runtime, pulse: Pulse) -> Condition:
    """The whole installation, as far as its database knows."""
    broken = await database_problem(rt)
    scheduler = worker = False
    if not broken:
        async with rt.db.read(_INSTANCE) as tx:
            now = rt.clock.now()
            scheduler = await scheduler_runs(tx, _INSTANCE, now=now)
            worker = await worker_runs(tx, _INSTANCE, now=now)
    missing = [role for role, there in (("scheduler", scheduler), ("worker", worker)) if not there]
    problem = broken or (
        f"no daemon runs the role {' or '.join(missing)}: nothing is sent" if missing else ""
    )
    return Condition(
        status="failing" if problem else "ok",
        database="failing" if broken else "ok",
        scheduler="ok" if scheduler else "not running",
        worker="ok" if worker else "not running",
        hits_waiting=len(pulse.hits),
        hits_dropped=pulse.hits.dropped,
        problem=problem,
    )


async def worker_condition(rt: Runtime, pulse: Pulse) -> WorkerCondition:
    found = await condition(rt, pulse)
    figures = await figures_of(rt) if found.database == "ok" else None
    return WorkerCondition(
        found,
        pulse.workers,
        figures.campaign_messages + figures.transactional_messages if figures else 0,
        figures.oldest_due_seconds if figures else 0.0,
        pulse.last_processed.isoformat() if pulse.last_processed else None,
    )


async def database_problem(rt: Runtime) -> str:
    """What is wrong with the database in one line, empty when it serves."""
    try:
        with translated_errors():
            async with rt.db.reader.connect() as connection:
                await check_current(connection)
    except Unavailable as error:
        return str(error)
    return ""


async def figures_of(rt: Runtime) -> QueueFigures:
    async with rt.db.read(_INSTANCE) as tx:
        return await queue_figures(tx, _INSTANCE, now=rt.clock.now())
