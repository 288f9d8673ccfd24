"""The five kinds of attributes: one spelling each, and nothing lost by a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.domain.contacts.attribute_values import Value, accept, infer, parse, text_of
from mailengine.models import AttributeKind

K = AttributeKind
ITEMS = st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8), max_size=5)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (K.TEXT, " 007 ", "007"),
        (K.NUMBER, "007", 7),
        (K.NUMBER, "-1.50", -1.5),
        (K.NUMBER, "3.0", 3),
        (K.NUMBER, "1e5", 100_000),
        (K.NUMBER, "-2.5E-3", -0.0025),
        (K.DATE, "24.12.2025", "2025-12-24"),
        (K.DATE, "2025-12-24 10:00:30+02:00", "2025-12-24T08:00:30Z"),
        (K.DATE, "2025-12-24T10:00", "2025-12-24T10:00:00Z"),
        (K.BOOLEAN, "Ja", True),
        (K.BOOLEAN, "0", False),
        (K.LIST, "red; green ;red;", ["red", "green"]),
        (K.LIST, '["a;b", "c"]', ["a;b", "c"]),
        (K.LIST, "red", ["red"]),
    ],
)
def test_texts_become_values(kind: AttributeKind, text: str, value: Value) -> None:
    found = parse(kind, text)
    assert (found, type(found)) == (value, type(value))
    assert parse(kind, text_of(found)) == found


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (K.NUMBER, "1,5"),
        (K.NUMBER, "1e15"),
        (K.NUMBER, "1e-20"),
        (K.NUMBER, "nan"),
        (K.NUMBER, "9" * 16),
        (K.NUMBER, "١٢"),
        (K.DATE, "3/4/2025"),
        (K.DATE, "31.02.2025"),
        (K.DATE, "20251224"),
        (K.DATE, "9999-12-31T23:59:59-10:00"),
        (K.BOOLEAN, "maybe"),
        (K.TEXT, "x" * 4001),
        (K.LIST, "x" * 4001),
        (K.LIST, "[" * 100_000),
        (K.LIST, '["\\ud800"]'),
        (K.LIST, "|".join(map(str, range(201)))),
    ],
)
def test_what_is_no_value_of_its_kind(kind: AttributeKind, text: str) -> None:
    with pytest.raises(ValueError, match=r"is |has "):
        parse(kind, text)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (K.NUMBER, True),
        (K.NUMBER, float("inf")),
        (K.NUMBER, 1e20),
        (K.BOOLEAN, 1),
        (K.TEXT, 5),
        (K.LIST, [1]),
        (K.LIST, {}),
    ],
)
def test_a_program_gives_the_right_type(kind: AttributeKind, given: object) -> None:
    with pytest.raises(ValueError, match=r"is |takes "):
        accept(kind, given)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "20", "-3.5", ""], K.NUMBER),
        (["1", "007"], K.TEXT),
        (["1.50", "2"], K.TEXT),
        (["1e5", "2"], K.TEXT),
        (["2025-01-01", "2.3.2024"], K.DATE),
        (["3/4/2025"], K.TEXT),
        (["TRUE", "true"], K.BOOLEAN),
        (["Yes", "no", "no"], K.BOOLEAN),
        (["NO", "NO"], K.TEXT),  # Norway
        (["NO", "SI"], K.TEXT),  # and Slovenia
        (["red|green", "blue", "red|blue", "green|red", "blue|red"], K.LIST),
        (["Smith; John", "Doe; Jane", "Roe; Richard", "Poe; Ed"], K.TEXT),
        (["", " "], K.TEXT),
    ],
)
def test_kinds_are_guessed_only_where_nothing_is_lost(cells: list[str], kind: AttributeKind) -> None:
    assert infer(cells) is kind


@given(
    st.one_of(
        st.integers(-(10**15) + 1, 10**15 - 1).map(lambda number: (K.NUMBER, number)),
        st.decimals(-(10**9), 10**9, places=6).map(lambda number: (K.NUMBER, float(number))),
        st.booleans().map(lambda truth: (K.BOOLEAN, truth)),
        st.datetimes().map(lambda moment: (K.DATE, moment.isoformat())),
        ITEMS.map(lambda items: (K.LIST, items)),
    )
)
def test_a_value_written_to_a_file_comes_back(pair: tuple[AttributeKind, Value]) -> None:
    kind, raw = pair
    value = accept(kind, raw)
    if value != []:
        assert parse(kind, text_of(value)) == value
