"""Which URLs may stand in a page: the rule for static ones, and for those that merge tags help to build.

Invariants: the scheme of an accepted URL is static and allowed, or the whole beginning of the URL is one
printed value, which `links.rewrite` sends through `safe_url`; no tag may help to spell a scheme.
"""

import re
from html import unescape

from mailengine.domain.content.lexing import MARK_PATTERN, Tag

LINK_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "cid"})
IMAGE_SCHEMES = frozenset({"http", "https", "cid"})

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.I)
_DATA_IMAGE = re.compile(r"data:image/(?:png|gif|jpe?g|webp);base64,[A-Za-z0-9+/=]*", re.I)
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_SPLIT = re.compile(f"({MARK_PATTERN})")
# WHATWG URL 4.4: tab and line breaks vanish anywhere in a URL, C0 controls and blanks at its ends.
_DROPPED = re.compile("[\\x00-\\x08\\x09\\x0a\\x0b\\x0c\\x0d\\x0e-\\x1f\\x7f]+")


def normalise(value: str) -> str:
    """The URL without the characters that a browser drops before it reads the scheme."""
    return _DROPPED.sub("", value).strip(" \u00a0\u2028\u2029\ufeff")


def is_allowed(value: str, tags: list[Tag], schemes: frozenset[str], *, data_image: bool = False) -> bool:
    """Whether a normalised URL, its merge tags as marks (`lexing.protect`), may stand in an attribute."""
    if data_image and _DATA_IMAGE.fullmatch(value):
        return True
    pieces = [piece for piece in _SPLIT.split(value) if not _is_comment(piece, tags)]
    prefix = ""
    while pieces and not pieces[0].startswith("\ufdd0"):
        prefix += pieces.pop(0)
    if "{" in prefix and not _has_scheme(prefix, schemes):
        return _is_chosen_safely(prefix, pieces, schemes)
    if _head_with_colon(prefix):
        return _has_scheme(prefix, schemes)
    if not pieces or re.search(r"[/?#]", prefix):
        return True
    return not prefix and _is_built_safely(pieces, tags, schemes)


def _is_chosen_safely(prefix: str, pieces: list[str], schemes: frozenset[str]) -> bool:
    """Spintax before the scheme: every option brings its own, or no colon is there to make one."""
    match = _CHOICE.match(prefix)
    if match and all(_has_scheme(option, schemes) for option in match[1].split("|")):
        return True
    return not pieces and ":" not in prefix


def _is_comment(piece: str, tags: list[Tag]) -> bool:
    tag = tag_of(piece, tags)
    return tag is not None and tag.kind == "comment"


def tag_of(piece: str, tags: list[Tag]) -> Tag | None:
    """The tag that a mark stands for; None for static text."""
    return tags[int(piece[1:-1])] if piece.startswith("\ufdd0") else None


def _head_with_colon(text: str) -> bool:
    """A colon before the first of / ? # makes what precedes it a scheme."""
    return ":" in re.split(r"[/?#\\]", text, maxsplit=1)[0]


def _has_scheme(text: str, schemes: frozenset[str]) -> bool:
    match = _SCHEME.match(text)
    return match is not None and match[1].lower() in schemes


def _is_built_safely(pieces: list[str], tags: list[Tag], schemes: frozenset[str]) -> bool:
    """No static piece after a tag brings a colon, unless a branch begins there with a whole scheme."""
    after_statement = False
    for piece in pieces:
        tag = tag_of(piece, tags)
        if tag is not None:
            after_statement = tag.kind == "block"
            continue
        if piece and _head_with_colon(piece) and not (after_statement and _has_scheme(piece, schemes)):
            return False
        if piece:
            after_statement = False
    return True


def split(value: str) -> list[str]:
    """Static pieces and marks, in order."""
    return [piece for piece in _SPLIT.split(value) if piece]


def decode_attribute(value: str) -> str:
    """The characters an attribute value stands for.

    Names without their semicolon stay (`?a=1&copy=2`, HTML 13.2.5.73), numbers are decoded either way.
    """
    return _REFERENCE.sub(lambda m: unescape(m[0]), value) if "&" in value else value


_REFERENCE = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)")
