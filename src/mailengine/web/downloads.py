"""Lists as CSV files, sent as they are read, a page at a time."""

import csv
import io
from collections.abc import AsyncIterator, Sequence

from litestar.response import Stream

Lines = Sequence[Sequence[str]]


def csv_file(name: str, columns: Sequence[str], pages: AsyncIterator[Lines]) -> Stream:
    """A download called `name`; cells are as `harmless` leaves them, or were made so by who read them."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(_parts(columns, pages), media_type="text/csv; charset=utf-8", headers=headers)


def harmless(cell: str) -> str:
    """No spreadsheet takes it for a formula: strangers write addresses, and servers their words (CWE-1236)."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


async def _parts(columns: Sequence[str], pages: AsyncIterator[Lines]) -> AsyncIterator[bytes]:
    yield _csv([columns])
    async for lines in pages:
        yield _csv(lines)


def _csv(lines: Lines) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
