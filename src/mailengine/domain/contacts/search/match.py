"""Whether a contact is one that a text describes, as a condition on its row: the rule that the index serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts.attributes import check_attribute
from mailengine.domain.contacts.queries import begins, carries, contains, contains_folded, starts_with
from mailengine.domain.contacts.search.grams import SIZE, wanted
from mailengine.models import Contact, Tag

MAX_TEXT = 320  # characters, as many as an address can have: nothing longer is found
_MAX_TAGS = 500  # that begin with a text


@dataclass(frozen=True, slots=True)
class Match:
    """The text in the address or the name; or a tag that begins with it; or with `attribute`, a value of it that
    does. Of a text of one or two letters address and names only begin with it; one letter of ASCII is that of
    an address, whose index then serves."""

    scope: Scope
    text: str
    attribute: str | None = None
    tag_ids: Sequence[int] | None = None  # of the tags that begin with it; None: not looked up

    @property
    def wanted(self) -> list[list[str]]:
        """What the index is asked for (`grams.wanted`)."""
        return wanted(self.text, beginning=self.attribute is not None)

    def condition(self, *, by_index: bool = True, few: bool = False) -> sa.ColumnElement[bool]:
        """`by_index`: in a form that finds few by the index of addresses; else for reading all in an order. `few`:
        contacts are asked about that something else names."""
        if self.attribute is not None:
            value = col(Contact.attributes)[self.attribute].as_string()
            return sa.and_(value >= self.text, value < self.text + chr(0x10FFFF))
        key, first, last = col(Contact.email_key), col(Contact.first_name), col(Contact.last_name)
        if len(self.text) == 1 and self.text.isascii():
            return (starts_with if by_index else begins)(key, self.text.casefold())
        if len(self.text) < SIZE:
            ways: list[Any] = [starts_with(key, self.text.casefold()), begins(first, self.text)]
            ways.append(begins(last, self.text))
        else:
            ways = [contains_folded(key, self.text), contains(first, self.text), contains(last, self.text)]
        if " " in self.text:
            ways.append(contains(first + " " + last, self.text))
        if self.tag_ids is None or self.tag_ids:
            tags = _tags(self.scope, self.text) if self.tag_ids is None else self.tag_ids
            ways.append(carries(self.scope, tags, few=few or not by_index))
        return sa.or_(*ways)


async def match_of(tx: ReadTx, scope: Scope, text: str, *, attribute: str | None = None) -> Match:
    """Raises InvalidInput for a text that nothing could match."""
    text = checked_text(text)
    if attribute is not None:
        return Match(scope, text, check_attribute(attribute), ())
    return Match(scope, text, tag_ids=(await tx.scalars(_tags(scope, text).limit(_MAX_TAGS))).all())


def checked_text(text: str) -> str:
    """Raises InvalidInput for a text that nothing could match."""
    text = text.strip()
    if not text:
        raise InvalidInput("say what to search for")
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"a text to search for can have {MAX_TEXT} characters at most")
    if "\x00" in text or not _is_text(text):
        raise InvalidInput("this is no text to search for")
    return text


def _tags(scope: Scope, text: str) -> sa.Select[int]:
    tags = table_of(Tag).c
    return sa.select(tags.id).where(tags.tenant_id == scope.tenant_id, starts_with(tags.key, text.casefold()))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
