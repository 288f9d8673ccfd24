"""Keyset pagination: page 10,000 costs what page 1 costs, and rows that come or go never shift a page."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailengine.core.errors import InvalidInput

T = TypeVar("T")
MAX_PAGE = 1000  # one answer must not hold a whole table in memory


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; `next` and `previous` are the cursors of the pages beside it, None where there is none; `total`
    counts all pages, or is how many there are at least where it is not `exact`."""

    items: Sequence[T]
    total: int
    next: str | None
    previous: str | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Without `count` the page says of more than are on it only that there are more: for who does not show their
    number, or counts them apart."""

    limit: int = 50
    cursor: str | None = None
    count: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise InvalidInput(f"limit must be between 1 and {MAX_PAGE}, not {self.limit}")


def encode_cursor(key: list[object]) -> str:
    """The sort key of the last row of a page, opaque to the caller."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, length: int) -> list[object]:
    """The key that `encode_cursor` was given; raises InvalidInput for anything else."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("this page cursor is not valid; start again from the first page") from error
    if not isinstance(key, list) or len(key) != length:
        raise InvalidInput("this page cursor belongs to another list; start again from the first page")
    return key
