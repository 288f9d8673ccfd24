"""A suppression list that was uploaded and is taken over by the daemon, a page in each transaction.

Invariants: what the job says was done is stored, and a restart goes on behind it; the job keeps the numbers of lines
that could not be read, not what stands in them: it belongs to nobody whom they name.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from anyio import to_thread

from mailengine.core.clock import Clock
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.contacts.imports import uploads
from mailengine.domain.contacts.suppression_files import (
    SHOWN,
    Taken,
    hashes_in,
    next_page,
    suppress_hashed,
    take_page,
)
from mailengine.domain.contacts.suppression_lines import understand
from mailengine.domain.jobs import jobs
from mailengine.models import Job, JobKind

PAGE = 2_000  # lines a transaction


async def queue(tx: WriteTx, scope: Scope, *, token: str, name: str, lines: int, now: datetime) -> Job:
    """The job for an upload (imports/uploads.py) of about so many lines."""
    scope.require(Grant.EDIT)
    kept = _kept(token, Taken(), [])
    kind = JobKind.SUPPRESSION_LIST
    return await jobs.create(tx, scope, kind=kind, title=name, total=lines, result=kept, now=now)


async def pieces(
    db: Database, clock: Clock, scope: Scope, job_id: JobId, *, data_dir: Path, hash_key: bytes
) -> AsyncGenerator[None]:
    """Take over what the job has not yet; yields after each transaction."""
    async with db.read(scope) as tx:
        job = await jobs.get(tx, scope, job_id=job_id)
    token, unread = job.result["file"], job.result["unread"]
    taken = Taken(job.done, job.result["added"], job.result["rejected"])
    path, source, looked_at, hashes = (
        uploads.find(data_dir, scope, token),
        f"import of {job.title}",
        0,
        set[str](),
    )
    listed = await to_thread.run_sync(lambda: understand(path, name=job.title))
    with closing(listed.lines()) as lines:
        while page := await to_thread.run_sync(next_page, lines, PAGE):
            hashes |= hashes_in(page)
            looked_at += len(page)
            if looked_at <= job.done:  # before a restart
                continue
            async with db.write(scope) as write:
                now = clock.now()
                added = await take_page(write, scope, page, reason="imported", source=source, now=now)
                taken.note(page, added)
                kept = _kept(token, taken, unread)
                await jobs.progress(write, scope, job_id=job_id, done=looked_at, result=kept)
            yield
    if hashes:
        await suppress_hashed(db, scope, hashes, hash_key, clock.now)
    async with db.write(scope) as write:
        await jobs.finish(write, scope, job_id=job_id, now=clock.now())
    path.unlink(missing_ok=True)


def _kept(token: str, taken: Taken, unread: Sequence[int]) -> dict[str, Any]:
    """What the job holds; `unread` are the lines of before a restart."""
    numbers = [*unread, *(line.number for line in taken.problems)][:SHOWN]
    return {
        "file": token, "added": taken.added, "known": taken.known, "rejected": taken.rejected, "unread": numbers,
    }  # fmt: skip
