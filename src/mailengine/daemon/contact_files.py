"""Files of contacts and suppression lists that the daemon reads, takes back and writes: works of `job_runs.WORKS`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from mailengine.core.ids import JobId
from mailengine.core.scope import Scope
from mailengine.domain.contacts import suppression_uploads
from mailengine.domain.contacts.exports import run as exports
from mailengine.domain.contacts.imports import undo, upload_jobs
from mailengine.domain.contacts.imports.request import Surroundings
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.runtime import Runtime

Pieces = AsyncGenerator[None]


async def import_upload(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
    around = Surroundings(
        db=rt.db,
        clock=rt.clock,
        data_dir=rt.settings.data_dir,
        hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
    )
    async with aclosing(upload_jobs.pieces(around, scope, job_id)) as pieces:
        async for _ in pieces:
            yield


async def suppress_upload(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
    data_dir, hash_key = rt.settings.data_dir, rt.keyring.derive_for_ever(HASH_PURPOSE)
    work = suppression_uploads.pieces(rt.db, rt.clock, scope, job_id, data_dir=data_dir, hash_key=hash_key)
    async with aclosing(work) as pieces:
        async for _ in pieces:
            yield


async def undo_import(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
    async with aclosing(undo.pieces(rt.db, rt.clock, scope, job_id)) as pieces:
        async for _ in pieces:
            yield


async def export(rt: Runtime, scope: Scope, job_id: JobId) -> Pieces:
    async with aclosing(exports.pieces(rt.db, rt.clock, rt.settings.data_dir, scope, job_id)) as pieces:
        async for _ in pieces:
            yield
