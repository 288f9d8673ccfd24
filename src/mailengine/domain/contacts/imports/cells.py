"""What the cells of fields say: states, tags and dates of consent, in the words of many programs."""

import csv
import re
from datetime import UTC, date, datetime
from functools import lru_cache

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.attribute_values import parse
from mailengine.domain.contacts.tags import check_tag
from mailengine.models import AttributeKind, ContactState

_STATES: dict[ContactState, str] = {
    ContactState.SUBSCRIBED: "subscribed, enabled, active, confirmed, opted in, optin, opt-in, yes, abonniert",
    ContactState.UNSUBSCRIBED: (
        "unsubscribed, blocklisted, blacklisted, disabled, opted out, optout, opt-out, no, abgemeldet, désabonné"
    ),
    ContactState.BOUNCED: "bounced, cleaned, hard bounce, hard-bounced, hardbounced, invalid",
    ContactState.COMPLAINED: "complained, complaint, spam, abuse, spam complaint, junk",
    ContactState.UNCONFIRMED: "unconfirmed, pending, nonsubscribed, non-subscribed, unverified, not confirmed",
    ContactState.INACTIVE: "inactive",
    ContactState.SUPPRESSED: "suppressed",
}
_WORDS = {word.strip(): state for state, words in _STATES.items() for word in words.split(",")}
_NO = frozenset({"", "0", "no", "n", "false", "nein", "non", "-", "null", "none", "subscribed", "never"})

# What programs write where they have no date: .NET, Excel, clocks that count from 1970. MySQL's is no date at all.
_EMPTY_DATES = frozenset(map(date.fromisoformat, ("0001-01-01", "1899-12-30", "1900-01-01", "1970-01-01")))
_ZERO_DATE = re.compile(r"0000-00-00([T ]00:00(:00)?Z?)?")
_FIRST_CONSENT = datetime(1970, 1, 1, tzinfo=UTC)  # what is older is a mistake: nobody had agreed to e-mail


def is_state(text: str) -> bool:
    return text.strip().casefold() in _WORDS


def parse_state(text: str) -> ContactState | None:
    """None for an empty cell; raises ValueError for a word that is no state: a guess could mail somebody who left."""
    word = text.strip().casefold()
    if not word:
        return None
    if word not in _WORDS:
        raise ValueError(f"{text.strip()[:40]!r} is no state of a contact; use {', '.join(ContactState)}")
    return _WORDS[word]


def is_said(text: str) -> bool:
    """Whether a cell of a column such as `unsubscribed at` says that it happened."""
    return text.strip().casefold() not in _NO


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
