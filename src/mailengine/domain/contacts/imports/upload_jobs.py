"""Uploaded files as jobs of the daemon: queued, gone on with, and their work a batch at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from mailengine.core.errors import Conflict
from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts import lists
from mailengine.domain.contacts.imports.ahead import batches
from mailengine.domain.contacts.imports.request import (
    FOLDER,
    ImportRequest,
    Surroundings,
    check_rights,
    read_source,
)
from mailengine.domain.contacts.imports.run import check_stands, finish, fresh, settle
from mailengine.domain.contacts.imports.storing import Run, Storing
from mailengine.domain.contacts.imports.tables import unpack_folder
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind, JobState


async def queue_upload(tx: WriteTx, scope: Scope, request: ImportRequest, *, name: str, now: datetime) -> Job:
    """The job by which the daemon imports a file that was uploaded under this name."""
    check_rights(scope, request)
    list_name = lists.check_name(request.list_name)
    title = f"{name} into {list_name}"
    result = fresh(replace(request, name=name))
    job = await jobs.create(tx, scope, kind=JobKind.UPLOAD, title=title, now=now, result=result)
    await audit.record(tx, scope, "contact.import.start", "job", job.id, now=now)
    return job


async def begin_again(tx: WriteTx, scope: Scope, *, job_id: JobId, now: datetime) -> Job:
    """Have the daemon go on with an upload that failed or was cancelled; raises Conflict when its file or its list
    is gone."""
    job = await jobs.locked(tx, scope, job_id=job_id)
    if job.kind != JobKind.UPLOAD:
        raise Conflict(f"import {job_id} was run by a command: go on with `mailengine jobs resume {job_id}`")
    check_stands(job)
    request = ImportRequest.from_dict(job.result["request"])
    check_rights(scope, request)
    if not request.path.is_file():
        raise Conflict(f"the file of import {job_id} is gone; upload it anew")
    if job.subject_id is not None and not await lists.keep_any(tx, scope, [job.subject_id]):
        raise Conflict(f"the list of import {job_id} was deleted; import the file anew")
    return await jobs.start(tx, scope, job_id=job_id, now=now)


def resumable(job: Job) -> bool:
    """Whether the daemon can go on with it (`begin_again`), but for what may be gone meanwhile."""
    stopped = job.state in (JobState.FAILED, JobState.CANCELLED)
    there = job.kind == JobKind.UPLOAD and ImportRequest.from_dict(job.result["request"]).path.is_file()
    return stopped and there and "undo" not in job.result


async def pieces(around: Surroundings, scope: Scope, job_id: JobId) -> AsyncGenerator[None]:
    """The work of a running upload job, a batch at a time; goes on where it stopped."""
    async with around.db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
    request = ImportRequest.from_dict(job.result["request"])
    with unpack_folder(around.data_dir / FOLDER) as folder:
        source = await asyncio.to_thread(read_source, request, folder)
        if job.result.get("file", source.fingerprint) != source.fingerprint:
            raise Conflict("the file is not the one that the import began with; upload it anew")
        async with around.db.write(scope) as write:
            job = await jobs.get(write, scope, job_id=job_id)
            source = await settle(write, scope, job, request, source, around.clock.now())
        run = Run.of(job, source, request)
        async with (
            batches(source, now=around.clock.now(), skip_records=run.records) as found,
            aclosing(Storing(around, scope, run).stored(found)) as stored,
        ):
            async for _batch in stored:
                yield
        await finish(around, scope, run)
    # The upload has done what it was for; an erased person must not be found in it.
    await asyncio.to_thread(request.path.unlink, missing_ok=True)
