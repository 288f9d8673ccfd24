"""Sanitising at save time: what a person pastes becomes a page that no reader's browser or mail client runs.

Two walls of different make, each with an allow-list: our own token-level writer, which knows mail (Outlook
comments, merge tags, style sheets), and bleach, which parses the result as browsers do. What is given back is
a page that both leave unchanged, so `sanitise(sanitise(x)) == sanitise(x)`.
"""

import re
import secrets
from dataclasses import dataclass
from html import unescape

from bleach.sanitizer import Cleaner

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.lexing import protect
from mailengine.domain.content.sanitise import css, policy
from mailengine.domain.content.sanitise.page import Page, Removal, canonical

__all__ = ["MAX_CHARS", "Removal", "Sanitised", "sanitise"]

# Twenty times what mailboxes clip (102 KB); bleach needs about 2 s a megabyte.
MAX_CHARS = 2_000_000
_MAX_ROUNDS = 8
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Sanitised:
    """A clean page and what was taken out of the source, in order."""

    html: str
    removed: list[Removal]


def sanitise(html: str) -> Sanitised:
    """Clean a page or fragment (a Jinja source, spintax and merge tags included).

    Takes about 2 ms a kilobyte of CPU: call it in a thread. Raises InvalidInput for a source above MAX_CHARS,
    with too many or too deeply nested elements.
    """
    if len(html) > MAX_CHARS:
        raise InvalidInput(f"the page has {len(html)} characters, at most {MAX_CHARS} can be saved")
    text = _plain_characters(html)
    secret = secrets.token_hex(12)
    removed: list[Removal] | None = None
    for _ in range(_MAX_ROUNDS):
        page = canonical(protect(text), secret)
        if removed is None:
            removed = page.removed
        bleached = _bleached(page.body)
        text, before = page.text(bleached), text
        if bleached == page.body and (text == before or _is_canonical(text, page, secret)):
            return Sanitised(text, removed)
    raise InvalidInput(
        "the page is too broken to be cleaned: check that its tags are closed where they belong"
    )


def _plain_characters(html: str) -> str:
    html = html.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", html))


def _is_canonical(text: str, page: Page, secret: str) -> bool:
    again = canonical(protect(text), secret)
    return again.body == page.body and again.text() == text


class _Styles:
    """Bleach's hook for style attributes: those that our cleaner would change are refused."""

    def sanitize_css(self, value: str) -> str:
        return value if css.clean_declarations(unescape(value)).text == unescape(value).strip() else ""


def _allows(element: str, attribute: str, value: str) -> bool:
    if value.lower().lstrip().startswith("data:") and attribute != "title" and attribute != "alt":
        return element == "img" and attribute == "src"
    return policy.allows(element, attribute)


def _bleached(body: str) -> str:
    cleaner = Cleaner(
        tags=policy.ELEMENTS,
        attributes=_allows,
        protocols={"http", "https", "mailto", "tel", "sms", "cid", "data"},
        strip=True,
        strip_comments=False,
        css_sanitizer=_Styles(),
    )
    return str(cleaner.clean(body))
