"""The files that jobs left in the data directory, and what of a person stands in them.

An import's file of rejected rows is the only one that is kept, for 30 days, with rows of people in it; it is written
anew without theirs. In it an address may be wrong in its marks (`ann@@example.org`), so only its words are compared.
What was exported for download goes as a whole: it is the tenant's own copy, made again in a moment. So does
an uploaded file that nobody imported yet when the person stands in it: it can be uploaded again, and its import
refuses them then. Of sheets and archives what is packed in them is looked through.
"""

import asyncio
import csv
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import Database
from mailengine.domain.contacts.imports.request import FOLDER, errors_path
from mailengine.domain.privacy.erase import check_no_import
from mailengine.mail.address import parse_address
from mailengine.models import Job, JobKind, JobState

EXPORTS = "exports"
_MAX_FIELD = 1 << 24
_BLOCK = 1 << 20
_MAX_UNPACKED = 2 << 30  # an archive that grows further is not unpacked for this
_ZIP = b"PK\x03\x04"
_MARKS = re.compile(r"[\W_]+")


async def forget_everywhere(db: Database, scope: Scope, *, data_dir: Path, address: str) -> int:
    """Take the person out of the files of the tenant's jobs, before `erase` takes them out of the tables. Raises
    Conflict while an import writes such a file."""
    scope.require(Grant.MANAGE)
    async with db.read(scope) as tx:
        await check_no_import(tx, scope)
        ids = (await tx.scalars(sa.select(col(Job.id)).where(tenant_of(Job) == scope.tenant_id))).all()
    uploads = data_dir / FOLDER / "uploads" / str(scope.tenant_id)
    gone = await asyncio.to_thread(forget, data_dir, [job_id for job_id in ids if job_id], address)
    return gone + await asyncio.to_thread(forget_uploads, uploads, address)


async def forget_rejected(db: Database, scope: Scope, *, data_dir: Path, addresses: Collection[str]) -> int:
    """Take the rows of people whose time in the trash is over out of the files of imports; returns how many. Files
    that somebody uploads now are left, since who was only deleted may be added again, as are exports, which end by
    themselves within days."""
    kinds = (JobKind.IMPORT, JobKind.UPLOAD)
    ended = sa.select(col(Job.id)).where(
        tenant_of(Job) == scope.tenant_id, col(Job.kind).in_(kinds), col(Job.state) != JobState.RUNNING
    )
    async with db.read(scope) as tx:
        paths = [errors_path(data_dir, job_id) for job_id in await tx.scalars(ended) if job_id]
    spellings = set().union(*map(_spellings, addresses))
    return await asyncio.to_thread(lambda: sum(_without(path, spellings) for path in paths))


def forget_uploads(folder: Path, address: str) -> int:
    """Remove the uploaded files that hold this address; returns how many."""
    wanted, gone = _spellings(address), 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_file() and _mentions(path, wanted):
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _mentions(path: Path, spellings: Collection[str]) -> bool:
    """Whether one of the spellings stands in the file or in a file that is packed in it. What cannot be unpacked
    within bounds counts as one that does: it must not keep what nobody can look for."""
    wanted = {text.encode(code) for text in spellings for code in ("utf-8", "utf-16-le", "utf-16-be")}
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _holds(file, wanted)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(each.file_size for each in archive.infolist()) > _MAX_UNPACKED:
                return True
            for each in archive.infolist():
                with archive.open(each) as file:
                    if file.read(4) == _ZIP:
                        return True  # an archive in an archive
                with archive.open(each) as file:
                    if _holds(file, wanted):
                        return True
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError, OSError):
        return True
    return False


def _holds(file: IO[bytes], wanted: Collection[bytes]) -> bool:
    """Read in blocks that overlap, in small letters of ASCII, which leave other bytes as they are."""
    longest, rest = max(map(len, wanted)), b""
    while block := file.read(_BLOCK):
        text = (rest + block).lower()
        if any(each.lower() in text for each in wanted):
            return True
        rest = text[-longest:]
    return False


def _spellings(address: str) -> set[str]:
    wanted = parse_address(address)
    return {text.casefold() for text in (address.strip(), wanted.email, wanted.key)}


def forget(data_dir: Path, job_ids: Iterable[int], address: str) -> int:
    """Take the rows that hold this address out of the jobs' files; returns how many rows and files went."""
    spellings, gone = _spellings(address), 0
    for job_id in job_ids:
        gone += _without(errors_path(data_dir, job_id), spellings)
        for path in job_files(data_dir, job_id):
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def job_files(data_dir: Path, job_id: int) -> list[Path]:
    """What a job made for download."""
    folder = data_dir / EXPORTS
    return sorted(folder.glob(f"{job_id}-*")) if folder.is_dir() else []


def _without(path: Path, spellings: Collection[str]) -> int:
    """Write the CSV anew without the rows of this person; nothing is touched where there are none."""
    if not path.is_file():
        return 0
    wanted = {_words(spelling) for spelling in spellings}
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    draft, gone = path.with_suffix(".draft"), 0
    with (
        path.open(encoding="utf-8", newline="") as source,
        draft.open("w", encoding="utf-8", newline="") as out,
    ):
        os.chmod(draft, 0o600)  # noqa: PTH101  # the open file's own
        writer = csv.writer(out)
        for row in csv.reader(source):
            line = _words(" ".join(row))
            if any(words in line for words in wanted):
                gone += 1
            else:
                writer.writerow(row)
    if gone:
        draft.replace(path)
    else:
        draft.unlink()
    return gone


def _words(text: str) -> str:
    """Letters and digits, each word between two dots."""
    return f".{_MARKS.sub('.', text.casefold()).strip('.')}."
