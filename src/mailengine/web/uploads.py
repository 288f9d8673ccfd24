"""What the API and the pages do alike with files of contacts."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

from mailengine.core.errors import NotFound, TooSoon
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts.imports import undo
from mailengine.domain.contacts.imports.rehearse import RowSink, rehearse
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind, JobState
from mailengine.web.site import Site

IMPORTS = (JobKind.IMPORT, JobKind.UPLOAD)
REHEARSAL_SECONDS = 8.0  # somebody waits for it; a longer one tells of the part that it got to


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`whole`: it got to the end of the file."""

    report: ImportReport
    whole: bool


def surroundings(site: Site) -> Surroundings:
    """Of an import that the web face looks at; the daemon does the work."""
    rt = site.rt
    return Surroundings(
        db=rt.db,
        clock=rt.clock,
        data_dir=rt.settings.data_dir,
        hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
    )


async def rehearsed(
    site: Site, scope: Scope, wanted: ImportRequest, *, each_row: RowSink | None = None
) -> Rehearsal:
    """What the import would do, as far as that is known within REHEARSAL_SECONDS."""
    loop, whole = asyncio.get_running_loop(), True
    until = loop.time() + REHEARSAL_SECONDS

    def too_long() -> bool:
        nonlocal whole
        whole = loop.time() < until
        return not whole

    around = replace(surroundings(site), cancelled=too_long)
    return Rehearsal(await rehearse(around, scope, wanted, each_row=each_row), whole)


async def find_import(tx: ReadTx, scope: Scope, job_id: int) -> Job:
    """Raises NotFound for other jobs too."""
    job = await jobs.get(tx, scope, job_id=JobId(job_id))
    if job.kind not in IMPORTS:
        raise NotFound(f"there is no import {job_id}")
    return job


async def begin_undo(tx: WriteTx, scope: Scope, job_id: int, *, now: datetime) -> Job:
    """The job by which the daemon takes an import back; one that stopped goes on from where it was."""
    job = await undo.begin(tx, scope, import_id=JobId(job_id), now=now)
    if job.state in (JobState.FAILED, JobState.CANCELLED):
        await jobs.start(tx, scope, job_id=JobId(job.id or 0), now=now)
    return job


def take_turn(site: Site, scope: Scope) -> None:
    """P75-04: a tenant that starts more imports than it can need would fill the disk and the queue."""
    wait = site.imports.take(scope.tenant_id, site.rt.clock.now())
    if wait:
        raise TooSoon(wait, "imports")
