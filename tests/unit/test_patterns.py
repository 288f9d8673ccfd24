"""Regular expressions mean the same in every Python 3.11.

Up to 3.11.4, and so on Debian 12, a possessive or atomic group whose last try took something before it failed leaves
the match behind that: https://github.com/python/cpython/issues/106052. A DKIM signature covered three headers of a
dozen. Possessive quantifiers of single characters are right everywhere.
"""

import re
from pathlib import Path

import mailengine

_GROUPS = re.compile(r"\)[*+?]\+|\)\{[0-9,]+\}\+|\}[*+?]\+|\(\?>")


def test_no_group_is_possessive_or_atomic() -> None:
    sources = Path(mailengine.__file__).parent.rglob("*.py")
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if _GROUPS.search(line)
    ]
    assert found == []
