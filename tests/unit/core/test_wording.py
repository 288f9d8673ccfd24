"""Numbers in sentences."""

import pytest

from mailengine.core.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12345, "12,345 rows")]
)
def test_one_is_not_several(number: int, words: str) -> None:
    assert counted(number, "row", "rows") == words
