"""What the index holds of a contact: all groups of three letters of its address, names and attributes. Pure.

Whoever has a text has its groups, so the index names candidates, and the contact itself decides. It is the same
for both databases, whose own ideas of small letters differ. Each text begins with BREAK, by which two letters are
found where a text begins with them.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

BREAK = "\x1f"
SIZE = 3
_MOST = 40  # groups of one search: more would only repeat what these say
_MARK_FROM, _MARK_BASE = 0xE000, 6400  # the letters of Unicode's private use area


def words_of(email: str, first_name: str, last_name: str, attributes: Mapping[str, Any]) -> str:
    """Everything that is searched of a contact, as one text."""
    texts = [email, f"{first_name} {last_name}".strip()]
    for value in attributes.values():
        texts += value if isinstance(value, list) else [] if isinstance(value, bool) else [str(value)]
    return "".join(BREAK + _plain(text) for text in texts if text)


def grams_of(words: str) -> Iterator[str]:
    """The groups of a contact's text, with repetitions; none spans two texts."""
    for text in words.split(BREAK)[1:]:
        text = BREAK + text
        for start in range(len(text) - SIZE + 1):
            yield text[start : start + SIZE]


def wanted(text: str, *, beginning: bool = False) -> list[list[str]]:
    """Alternatives, of each of which a candidate has every group; none when the text is too short to say.
    `beginning`: of an attribute. Two letters are looked for where a text begins, or a last name."""
    plain = _plain(text)
    if beginning:
        plain = BREAK + plain
    elif len(plain) == SIZE - 1:
        return [[BREAK + plain], [" " + plain]]
    groups = dict.fromkeys(plain[start : start + SIZE] for start in range(len(plain) - SIZE + 1))
    most = list(groups)[:_MOST]
    # First those that tell most: whoever looks at a contact is done with the first group that it has not.
    return [list(dict.fromkeys([*telling(most), *most]))] if most else []


def telling(groups: Sequence[str]) -> Sequence[str]:
    """Those of them that few contacts have, as far as a text says: a number tells people apart, the letters of their
    domain do not. All of them where it has none, or nothing else."""
    numbers = [group for group in groups if any(letter.isdigit() for letter in group)]
    return numbers if len(numbers) > 1 else groups


@lru_cache
def mark_of(tenant_id: int) -> str:
    """A group that only this tenant's contacts have: three letters that no text in use has, as a number."""
    letters = []
    for _ in range(SIZE):
        tenant_id, digit = divmod(tenant_id, _MARK_BASE)
        letters.append(chr(_MARK_FROM + digit))
    return "".join(letters)


def number_of(tenant_id: int, gram: str) -> int:
    """A tenant's group as a signed number of 32 bits; two may share one, as candidates are looked at anyway."""
    return zlib.crc32(f"{tenant_id}:{gram}".encode()) - 2**31


def _plain(text: str) -> str:
    return text.casefold().replace(BREAK, " ").replace("\x00", " ")
