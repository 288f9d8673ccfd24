"""What all of the API shares: limits on values, pages, and the errors that its document names.

Invariant: what leaves and enters the API is a struct of this package, never a table: a new column must not
appear in an answer by itself.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from mailengine.core.paging import MAX_PAGE, Page, PageRequest
from mailengine.web.errors import PROBLEM_JSON, Problem

Row = TypeVar("Row")
Shape = TypeVar("Shape")

# PostgreSQL cannot store NUL in a text, so no text may hold one, whatever the database.
NO_NUL = r"^[^\u0000]*$"
Line = Annotated[str, msgspec.Meta(max_length=1000, pattern=NO_NUL)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NUL)]
Email = Annotated[str, msgspec.Meta(min_length=3, max_length=320, pattern=NO_NUL)]
UploadToken = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
Document = Annotated[str, msgspec.Meta(max_length=1_000_000, pattern=NO_NUL)]

MAX_ID = 2**53 - 1  # what JavaScript counts exactly; no sequence gets there
Id = Annotated[int, PathParameter(ge=1, le=MAX_ID)]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="most items of the answer")]
Cursor = Annotated[
    str | None,
    QueryParameter(max_length=500, pattern=NO_NUL, description="`next` of the page before this one"),
]
Search = Annotated[str | None, QueryParameter(min_length=1, max_length=200, pattern=NO_NUL)]


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends: a field that is not known is an error, never silently lost."""


class PageOf(msgspec.Struct, Generic[Shape]):
    """One page; `next` is the cursor of the following one, null at the end; `total` counts all pages, or is
    how many there are at least where it is not `exact`."""

    items: Sequence[Shape]
    total: int
    next: str | None
    exact: bool = True


def page_of(page: Page[Row], shape: Callable[[Row], Shape]) -> PageOf[Shape]:
    return PageOf([shape(row) for row in page.items], page.total, page.next, page.exact)


def whole(items: Sequence[Shape]) -> PageOf[Shape]:
    """A list that is short by nature, as its only page."""
    return PageOf(items, len(items), None)


def page_request(limit: int, cursor: str | None) -> PageRequest:
    return PageRequest(limit, cursor or None)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors of an operation, for its document; those that any operation can have are always in it."""
    return {status: _PROBLEMS[status] for status in (400, 401, 403, 503, *statuses)}


def _spec(description: str) -> ResponseSpec:
    return ResponseSpec(Problem, generate_examples=False, description=description, media_type=PROBLEM_JSON)


_PROBLEMS: dict[int, ResponseSpec] = {
    400: _spec("A parameter or the body cannot be used as it is."),
    401: _spec("There is no credential, or it is wrong."),
    403: _spec("The credential lacks the right."),
    404: _spec("There is no such thing in this tenant."),
    409: _spec("It does not fit the present state: a name is taken, a step is not allowed."),
    413: _spec("The body is too large."),
    422: _spec("A rule forbids it; `reasons` lists which."),
    429: _spec("Too many of these in a short time; `Retry-After` says when to try again."),
    503: _spec("The database does not answer."),
}
READ: dict[str, Any] = {"responses": problems()}
READ_ONE: dict[str, Any] = {"responses": problems(404)}
WRITE: dict[str, Any] = {"responses": problems(404, 409, 413, 422)}
