"""What the cells of fields say: states and tags, in the words of many programs."""

import csv
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
        parts = next(csv.reader([text.replace("\n", " ")], skipinitialspace=True), [])
    else:
        found = parse(AttributeKind.LIST, text)
        parts = found if isinstance(found, list) else []
    try:
        return tuple(dict.fromkeys(check_tag(part) for part in parts if part.strip()))
    except InvalidInput as error:
        raise ValueError(str(error)) from None
