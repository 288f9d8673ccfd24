"""How every list command takes a page and prints it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mailengine.cli import output

if TYPE_CHECKING:
    from mailengine.core.paging import Page

T = TypeVar("T")

Limit = Annotated[int, typer.Option(min=1, max=1000, help="Rows on a page.")]
Cursor = Annotated[str | None, typer.Option(help="Start where the page before ended (its `next`).")]


def emit_page(
    page: "Page[T]",
    shown: Callable[[T], dict[str, Any]],
    columns: Sequence[str],
    *,
    empty: str,
    as_json: bool,
) -> None:
    """Print `{"items": …, "total": …, "next": …}`, or a table and how to see the rest. Where `total` is only how many
    there are at least, `"exact": false` stands beside it."""
    rows = [shown(item) for item in page.items]

    def text() -> None:
        output.table(rows, columns, empty=empty)
        if page.next is not None:
            total = f"{page.total:,}" if page.exact else f"at least {page.total:,}"
            output.note(f"{len(rows)} of {total}; go on with --cursor {page.next}")

    inexact = {} if page.exact else {"exact": False}
    answer = {"items": rows, "total": page.total, **inexact, "next": page.next}
    output.emit(answer, as_json=as_json, text=text)
