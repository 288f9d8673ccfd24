"""The rejected rows of one import as a CSV: line, reason and the row as it was, to be mended and imported
again (the first two columns are ignored then).

The cells are written as they came, formulas included: this file is the user's own data given back, not an
export that strangers filled.

They are people's data, and kept as long as the import can be taken back.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.imports.request import FOLDER, errors_path
from mailengine.domain.contacts.imports.rows import Rejected
from mailengine.domain.contacts.imports.undo import UNDOABLE
from mailengine.models import Job


def find(data_dir: Path, job_id: int) -> Path:
    """Raises NotFound for an import that rejected nothing, or did so too long ago."""
    path = errors_path(data_dir, job_id)
    if not path.is_file():
        raise NotFound(
            f"import {job_id} rejected no row, or none that is kept: they go after {UNDOABLE.days} days"
        )
    return path


async def too_old(tx: ReadTx, _instance: InstanceScope, *, data_dir: Path, now: datetime) -> list[Path]:
    """The files that are to go, of every tenant."""
    last = (
        await tx.scalar(sa.select(sa.func.max(col(Job.id))).where(col(Job.created_at) < now - UNDOABLE)) or 0
    )
    files = (data_dir / FOLDER).glob("*-errors.csv")
    return [path for path in files if int(path.name.partition("-")[0]) <= last]


class ErrorsFile:
    """Made with the first rejected row; `size_bytes` goes into the job, so that a resumed import cuts off
    what a crash left behind the last committed batch."""

    def __init__(self, path: Path, headers: Sequence[str], *, keep_bytes: int = 0) -> None:
        self.path = path
        self.size_bytes = keep_bytes
        self._headers = headers
        self.cut(keep_bytes)

    def cut(self, keep_bytes: int) -> None:
        """Forget what was written after the last committed batch. The file may hold less, or be gone, since people
        are erased from it."""
        there = self.path.stat().st_size if self.path.exists() else 0
        self.size_bytes = min(there, keep_bytes)
        if there > keep_bytes:
            with self.path.open("r+b") as file:
                file.truncate(keep_bytes)

    def head(self, count: int) -> list[Rejected]:
        """The first rejected rows."""
        if not self.size_bytes:
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = islice(csv.reader(file), 1, count + 1)
            return [Rejected(int(line), reason, fields) for line, reason, *fields in rows]

    def append(self, rejected: Iterable[Rejected]) -> None:
        rows = [(row.line, row.reason, *row.fields) for row in rejected]
        if not rows:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds addresses
        # Bytes that are no text are shown as \\xNN: the file itself must be readable everywhere.
        with self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            if self.size_bytes == 0:
                writer.writerow(("import_line", "import_reason", *self._headers))
            writer.writerows(rows)
            file.flush()
            self.size_bytes = file.tell()

    @property
    def written(self) -> Path | None:
        return self.path if self.size_bytes else None
