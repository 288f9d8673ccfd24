"""Is the process alive, can it serve, does the whole installation work (P75-07)."""

from typing import Literal

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from mailengine.core.errors import Unavailable
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import translated_errors
from mailengine.domain.reports.liveness import scheduler_runs
from mailengine.migrations.run import check_current
from mailengine.web.site import Site


class Health(msgspec.Struct):
    """`problem` is one line for a person, without addresses or names of the installation's parts."""

    status: Literal["ok", "failing"]
    database: Literal["ok", "failing"]
    scheduler: Literal["ok", "not running"]
    hits_waiting: int
    hits_dropped: int
    problem: str = ""


@get("/livez", sync_to_thread=False, media_type=MediaType.TEXT)
def livez() -> str:
    """The process answers; says nothing of what it needs."""
    return "ok"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(site: NamedDependency[Site]) -> Response[str]:
    """The database answers and has this code's schema: a proxy may send requests here."""
    problem = await database_problem(site)
    return Response(problem or "ok", status_code=503 if problem else 200, media_type=MediaType.TEXT)


@get("/health")
async def health(site: NamedDependency[Site]) -> Response[Health]:
    """For monitors: 200 when all works, 503 when something does not."""
    problem = await database_problem(site)
    running = not problem and await scheduler_is_there(site)
    answer = Health(
        status="ok" if running else "failing",
        database="failing" if problem else "ok",
        scheduler="ok" if running else "not running",
        hits_waiting=len(site.hits),
        hits_dropped=site.hits.dropped,
        problem=problem or ("" if running else "no daemon runs the role scheduler: nothing is sent"),
    )
    return Response(answer, status_code=200 if running else 503)


async def scheduler_is_there(site: Site) -> bool:
    instance = InstanceScope("web")
    async with site.rt.db.read(instance) as tx:
        return await scheduler_runs(tx, instance, now=site.rt.clock.now())


async def database_problem(site: Site) -> str:
    """What is wrong with the database in one line, empty when it serves."""
    try:
        with translated_errors():
            async with site.rt.db.reader.connect() as connection:
                await check_current(connection)
    except Unavailable as error:
        return str(error)
    return ""
