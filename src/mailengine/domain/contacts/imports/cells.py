"""What the cells of fields say: states, tags and dates of consent, in the words of many programs."""

import csv
import re
from datetime import UTC, date, datetime
from functools import lru_cache

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.attribute_values import FALSE_WORDS, TRUE_WORDS, parse
from mailengine.domain.contacts.imports.state_words import STATES, word_of
from mailengine.domain.contacts.states import LEFT
from mailengine.domain.contacts.tags import check_tag
from mailengine.models import AttributeKind, ContactState

_NO = FALSE_WORDS | {"", "null", "none", "n/a", "subscribed", "never"}
_MARKS = frozenset({"x", "✓", "✔", "☑", "✅", "checked"})
_MOMENT = re.compile(r"[\d.:/TZ+\- ]{6,}")  # when they agreed: that they did
# What programs write where they have no date: .NET, Excel, clocks that count from 1970. MySQL's is no date at all.
_EMPTY_DATES = frozenset(map(date.fromisoformat, ("0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01")))
_ZERO_DATE = re.compile(r"0000-00-00([T ]00:00(:00)?Z?)?")
_FIRST_CONSENT = datetime(1970, 1, 1, tzinfo=UTC)  # what is older is a mistake: nobody had agreed to e-mail


@lru_cache(1 << 12)
def parse_state(text: str) -> ContactState | None:
    """None for an empty cell; raises ValueError for a word that is no state: a guess could mail somebody who left."""
    word = word_of(text)
    if not word:
        return None
    if word not in STATES:
        raise ValueError(
            f"{text.strip()[:40]!r} is no state of a contact; use {', '.join(ContactState)}, or make its column "
            "an attribute"
        )
    return STATES[word]


def is_said(text: str) -> bool:
    """Whether a cell of a column such as `unsubscribed at` says that it happened."""
    return word_of(text) not in _NO


def is_answer(text: str) -> bool:
    """Whether a cell can stand in a column such as `opt-in`."""
    try:
        parse_subscribed(text)
    except ValueError:
        return False
    return True


def says_no(text: str) -> bool:
    """Whether a cell of such a column tells that somebody is not to be mailed; an empty one does not."""
    return bool(word_of(text)) and is_answer(text) and parse_subscribed(text) in LEFT


@lru_cache(1 << 12)
def parse_subscribed(text: str) -> ContactState:
    """A cell of a column such as `opt-in`: yes, no, a date, a word for a state. Who is left blank never agreed.
    Raises ValueError for anything else."""
    word = word_of(text)
    if word in STATES:
        return STATES[word]
    if word in TRUE_WORDS or word in _MARKS or _MOMENT.fullmatch(text.strip()):
        return ContactState.SUBSCRIBED
    if word in ("", "null", "none", "n/a"):
        return ContactState.UNCONFIRMED
    if word in _NO:
        return ContactState.UNSUBSCRIBED
    raise ValueError(
        f"{text.strip()[:40]!r} does not say whether they are subscribed; write yes or no, or make its column "
        "an attribute"
    )


@lru_cache(1 << 12)
def parse_tags(text: str) -> tuple[str, ...]:
    """`a; b`, `a|b`, JSON, Mailchimp's `"a","b"`, Google's `a ::: * myContacts`; raises ValueError for one that
    cannot be."""
    if " ::: " in text or text.startswith("* "):
        parts = [part for part in text.split(" ::: ") if not part.startswith("* ")]  # groups of Google's own
    elif text.startswith('"'):
        parts = next(csv.reader([" ".join(text.splitlines())], skipinitialspace=True), [])
    else:
        found = parse(AttributeKind.LIST, text)
        parts = found if isinstance(found, list) else []
    try:
        return tuple(dict.fromkeys(check_tag(part) for part in parts if part.strip()))
    except InvalidInput as error:
        raise ValueError(str(error)) from None


def parse_consent_date(text: str, latest: datetime) -> datetime | None:
    """ISO 8601 or `24.12.2025`, and None for what stands for no date. Raises ValueError for the rest: 3/4/2025 is two
    dates, and nobody agreed before 1970 or will have agreed after `latest`."""
    if not text or _ZERO_DATE.fullmatch(text):
        return None
    iso = text
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text):
        day, month, year = map(int, found.groups())
        iso = f"{year:04}-{month:02}-{day:02}"
    try:
        moment = datetime.fromisoformat(iso)
        if moment.date() in _EMPTY_DATES:
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not a date of consent; write it as 2025-12-24") from None
    if not _FIRST_CONSENT <= moment <= latest:
        when = "lies in the future" if moment > latest else "is too old"
        raise ValueError(f"{text[:40]!r} {when} for a date of consent; leave it empty if it is not known")
    return moment
