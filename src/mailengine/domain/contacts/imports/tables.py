"""Spreadsheets and archives as text: whatever is no CSV is written as one first, and then read like any other.

Such a file is *numbered*: its first column is the row's number in the original, for reports. Archives are hostile
until proven otherwise: names are never paths, sizes are counted while unpacking, and nothing is unpacked twice.
"""

import csv
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.attribute_values import moment_text, text_of
from mailengine.domain.contacts.imports.scan import CHUNK_BYTES, opened

MAX_SHEET_BYTES = 64 << 20  # unpacked: a sheet is held in memory while it is written out, 1.8 bytes for each
MAX_UNPACKED_BYTES = 4 << 30
MAX_RATIO = 200  # of a text; what packs better is a bomb (deflate gets to 1,032)
_FREE_RATIO_BYTES = 16 << 20  # a small file of one line again and again may pack as it likes
MAX_MEMBERS = 1000
_STALE_SECONDS = 2 * 24 * 3600
_TEXTS = (".csv", ".tsv", ".txt", ".tab")
_SHEETS = (".xlsx", ".xlsm", ".ods")
# Mailchimp's archive has a file for each state, which stands in no column.
_MAILCHIMP = {
    "subscribed": "subscribed",
    "unsubscribed": "unsubscribed",
    "cleaned": "bounced",
    "nonsubscribed": "unconfirmed",
}
_UNFOLDED = "there is no {what} {wanted!r} in it; it has {there}"


@dataclass(frozen=True, slots=True)
class Table:
    """A text to read in place of the file; `what` names what it came from, `state` is that of all its contacts."""

    path: Path
    numbered: bool
    what: str = ""
    state: str = ""


def open_tables(path: Path, folder: Path, *, part: str | None = None) -> list[Table]:
    """The file itself when it is a text; `folder` takes what is unpacked. `part` is a sheet, or a file of a ZIP.
    More than one, or one with a state, is to be joined."""
    with opened(path) as file:
        if file.read(4) != b"PK\x03\x04":
            if part is not None:
                raise InvalidInput(f"{path} is no workbook and no archive: it has no part {part!r}")
            return [Table(path, False)]
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            if _is_workbook(members):
                return [_sheet(path, archive, folder, part)]
            return _members_of(path, archive, members, folder, part)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise InvalidInput(f"{path} is a damaged archive: {error}") from error


@contextmanager
def unpack_folder(parent: Path) -> Iterator[Path]:
    """A folder of our own for what is unpacked; those that killed processes left behind are removed."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in parent.glob("unpacked-*"):
        if time.time() - old.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=parent) as folder:
        yield Path(folder)


def write_numbered(
    target: Path, headers: Sequence[str] | None, rows: Iterable[tuple[int, Sequence[str]]]
) -> Table:
    """A numbered text; without `headers` the first row has them."""
    with target.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        if headers is not None:
            writer.writerow(("import_line", *headers))
        for line, cells in rows:
            writer.writerow((line, *cells))
    return Table(target, True)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Files by name; raises InvalidInput for what no program makes of a list of contacts."""
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MAX_MEMBERS:
        raise InvalidInput(f"{path} holds {len(infos):,} files, and {MAX_MEMBERS:,} is the most")
    for info in infos:
        if info.flag_bits & 1:
            raise InvalidInput(f"{path} is locked with a password; unpack it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidInput(f"{path} is packed in an unusual way; unpack it first")
    return {info.filename: info for info in infos}


def _is_workbook(names: Iterable[str]) -> bool:
    return any(name in ("xl/workbook.xml", "content.xml") for name in names)


def _sheet(path: Path, archive: zipfile.ZipFile, folder: Path, part: str | None) -> Table:
    """One sheet of a workbook: the one that was named, else the first that is not empty."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError  # few imports are spreadsheets

    _check_workbook(path, archive)
    try:
        # An upload has no ending, by which calamine tells what it reads.
        named = folder / ("book.xlsx" if "xl/workbook.xml" in archive.namelist() else "book.ods")
        named.symlink_to(path.resolve())
        with CalamineWorkbook.from_path(str(named)) as book:
            names = book.sheet_names
            if part is not None and part not in names:
                raise InvalidInput(
                    f"{path}: " + _UNFOLDED.format(what="sheet", wanted=part, there=_list(names))
                )
            for name in [part] if part is not None else names:
                sheet = book.get_sheet_by_name(name)
                if sheet.height:
                    first = (sheet.start or (0, 0))[0] + 1
                    table = write_numbered(folder / "sheet.csv", None, _sheet_rows(sheet.iter_rows(), first))
                    return Table(table.path, True, f"sheet {name}")
    except PasswordError as error:
        raise InvalidInput(f"{path} is locked with a password; save it without one") from error
    except CalamineError as error:
        raise InvalidInput(f"{path} is a damaged workbook: {error}") from error
    raise InvalidInput(f"{path}: the file holds no rows")


def _check_workbook(path: Path, archive: zipfile.ZipFile) -> None:
    """Unpack it once into nothing: headers may lie about sizes, a checksum over all that came does not."""
    left = MAX_SHEET_BYTES
    for info in archive.infolist():
        with archive.open(info) as member:
            while chunk := member.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise InvalidInput(
                        f"{path} is larger than {MAX_SHEET_BYTES >> 20} MiB unpacked, too much for a spreadsheet; "
                        "save the sheet as CSV, which may be of any size"
                    )


def _sheet_rows(rows: Iterable[Sequence[Any]], first: int) -> Iterator[tuple[int, list[str]]]:
    for line, row in enumerate(rows, first):
        cells = [_cell(value) for value in row]
        if any(cells):
            yield line, cells


def _cell(value: Any) -> str:
    match value:
        case str():
            return value.replace("\x00", "")
        case datetime() if not (value.hour or value.minute or value.second):
            return value.date().isoformat()
        case datetime():
            return moment_text(value)
        case date():
            return value.isoformat()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return text_of(value)


def _members_of(
    path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: Path, part: str | None
) -> list[Table]:
    """One file of an archive, or Mailchimp's several."""
    names = [name for name in members if _is_table(name)]
    if part is not None:
        if part not in names:
            raise InvalidInput(f"{path}: " + _UNFOLDED.format(what="file", wanted=part, there=_list(names)))
        names = [part]
    if not names:
        raise InvalidInput(f"{path} holds no CSV, TSV, XLSX or ODS file; it has {_list(list(members))}")
    if len(names) > 1 and not all(map(_mailchimp_state, names)):
        raise InvalidInput(f"{path} holds {len(names)} files; say which with --part: {_list(names)}")
    budget = _Budget(path)
    return [
        replace(
            _extracted(archive, members[name], folder / f"member-{number}", budget),
            state=_mailchimp_state(name),
        )
        for number, name in enumerate(names)
    ]


def _is_table(name: str) -> bool:
    plain = PurePosixPath(name)
    hidden = plain.name.startswith(".") or "__MACOSX" in plain.parts
    return not hidden and plain.suffix.lower() in (*_TEXTS, *_SHEETS)


def _mailchimp_state(name: str) -> str:
    start, underscore, _ = PurePosixPath(name).name.lower().partition("_")
    return _MAILCHIMP.get(start, "") if underscore else ""


class _Budget:
    """How much may still be unpacked of one archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MAX_UNPACKED_BYTES

    def spend(self, info: zipfile.ZipInfo, size: int, so_far: int) -> None:
        self._left -= size
        too_dense = so_far > _FREE_RATIO_BYTES and so_far > MAX_RATIO * max(info.compress_size, 1)
        if self._left < 0 or too_dense:
            raise InvalidInput(
                f"{self._path} unpacks to more than a list of contacts can be; unpack it yourself"
            )


def _extracted(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, budget: _Budget) -> Table:
    so_far = 0
    with archive.open(info) as source, target.open("wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            so_far += len(chunk)
            budget.spend(info, len(chunk), so_far)
            file.write(chunk)
    if zipfile.is_zipfile(target):
        if PurePosixPath(info.filename).suffix.lower() not in _SHEETS:
            raise InvalidInput(f"{info.filename} is an archive inside an archive; unpack it first")
        with zipfile.ZipFile(target) as book:
            if not _is_workbook(book.namelist()):
                raise InvalidInput(f"{info.filename} is no workbook")
            inner = target.with_name(target.name + "-sheet")
            inner.mkdir()
            table = _sheet(target, book, inner, None)
            return Table(table.path, True, info.filename)
    return Table(target, False, info.filename)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") if names else "none"
