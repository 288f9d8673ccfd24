"""A page of a list as organisms/data_table.html shows it: rows, and the addresses of what one can do with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from litestar import Request

from mailengine.core.paging import Page, PageRequest

Row = TypeVar("Row")
Choice = TypeVar("Choice", bound=StrEnum)
PAGE_ROWS = 50
_MAX_CHARS = 500  # a cursor may be a name; more was not made by our pages


def in_words(number: int, *, exact: bool) -> str:
    """`10,000+` where no more were counted."""
    return f"{number:,}" if exact else f"{number:,}+"


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """`params` are the filters that hold (`q`, `sort`, those of the page); `unit` and `units` name one row and
    several."""

    path: str
    params: dict[str, str]
    page: Page[Row]
    unit: str
    units: str
    sort: str = ""  # the order when the address says none
    count: str = ""  # names what is counted where a request of its own does that

    @property
    def rows(self) -> Sequence[Row]:
        return self.page.items

    @property
    def total(self) -> int:
        return self.page.total

    @property
    def counted(self) -> str:
        """How many there are, in words for people."""
        return in_words(max(self.page.total, len(self.page.items)), exact=self.page.exact)

    @property
    def filtered(self) -> bool:
        """Whether an empty list may only be what the filters left of it."""
        return any(value for name, value in self.params.items() if name not in ("sort", "cursor"))

    @property
    def next(self) -> str:
        return self.url(cursor=self.page.next) if self.page.next else ""

    @property
    def previous(self) -> str:
        return self.url(cursor=self.page.previous) if self.page.previous else ""

    def url(self, **changes: str) -> str:
        """This list with other filters; from its first page unless `cursor` is given."""
        return _address(self.path, {**self.params, "cursor": "", **changes})

    def beside(self, path: str) -> str:
        """Another address with what this page of the list was asked with."""
        return _address(path, self.params)

    def sort_of(self, key: str) -> str:
        """asc, desc, or empty when another column sorts."""
        now = self.params.get("sort") or self.sort
        return {key: "asc", f"-{key}": "desc"}.get(now, "")

    def sort_url(self, key: str) -> str:
        return self.url(sort=f"-{key}" if self.sort_of(key) == "asc" else key)

    def kept(self) -> list[tuple[str, str]]:
        """What a new search or filter leaves as it is."""
        return [("sort", self.params["sort"])] if self.params.get("sort") else []


def _address(path: str, params: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in params.items() if value})
    return f"{path}?{query}" if query else path


def params_of(request: Request[Any, Any, Any], *names: str) -> dict[str, str]:
    """The named parameters of the address as text, with `q`, `sort` and `cursor`; one that is not given is empty."""
    given = request.query_params
    return {
        name: str(given.get(name, ""))[:_MAX_CHARS].replace("\x00", "").strip()
        for name in ("q", "sort", "cursor", *names)
    }


def page_of(params: dict[str, str], *, limit: int = PAGE_ROWS, count: bool = True) -> PageRequest:
    return PageRequest(limit, params["cursor"] or None, count)


def either(value: str) -> bool | None:
    """A filter of two sides, `yes` and `no`; anything else leaves both."""
    return {"yes": True, "no": False}.get(value)


def id_in(text: str) -> int | None:
    """The id in a filter; what is none leaves everything in."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def one_of(value: str, allowed: type[Choice]) -> Choice | None:
    """The member of a StrEnum, or None for whatever is not one: an address is anybody's to write."""
    return next((member for member in allowed if member.value == value), None)
