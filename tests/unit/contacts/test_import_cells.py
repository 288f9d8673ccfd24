"""What cells say: whatever stands in one, its row is read or rejected, and the file goes on."""

import json
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailengine.domain.contacts.imports.cells import parse_consent_date
from mailengine.domain.contacts.imports.exporters import recognise
from mailengine.domain.contacts.imports.headers import Field
from mailengine.domain.contacts.imports.mapping import ColumnMap
from mailengine.domain.contacts.imports.rows import Rejected, RowReader
from mailengine.models import AttributeKind
from support.house import NOW

KINDS = {f"a_{kind}": kind for kind in AttributeKind}
TARGETS = (*(field.value for field in Field if field is not Field.IGNORE), *KINDS)
READER = RowReader(
    ColumnMap(TARGETS, TARGETS, len(TARGETS), {}, recognise(())), KINDS, check_text=True, now=NOW
)
NESTED = st.recursive(st.none() | st.text(), st.lists, max_leaves=5)
DATES = st.datetimes(timezones=st.none() | st.timezones()).map(str)
HOSTILE = (
    st.text()
    | st.text("\"'\\r\\n,;|[]{}\\\\ud80.+-eE019T:Z@() ", max_size=30)
    | st.text('"\r\n\x00\x85\u2028a,', max_size=8).map('"'.__add__)
    | NESTED.map(json.dumps)
    | st.floats().map(str)
    | DATES
    | st.sampled_from(
        ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "[" * 100_000, '["\\ud800"]', '"a"\r"b"']
    )
)


@given(
    st.lists(HOSTILE, min_size=len(TARGETS), max_size=len(TARGETS)), st.integers(0, len(TARGETS) - 1), HOSTILE
)
@example(["a@example.org", *[""] * (len(TARGETS) - 1)], TARGETS.index(Field.TAGS), '"a"\r"b"')
@example(["a@example.org", *[""] * (len(TARGETS) - 1)], TARGETS.index("a_list"), "[" * 100_000)
def test_a_cell_costs_its_row_at_worst(cells: list[str], place: int, cell: str) -> None:
    one_bad = ["a@example.org", *[""] * (len(TARGETS) - 1)]
    one_bad[place] = cell
    for fields in (cells, one_bad):
        row = READER.read(1, fields)
        if isinstance(row, Rejected):
            assert row.reason
        else:
            stored = json.dumps([row.first_name, row.last_name, row.attributes, row.tags], ensure_ascii=False)
            stored.encode()
            at = row.consent[1] if row.consent else None
            assert at is None or 1970 <= at.year <= NOW.year


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24.12.2025", "2025-12-24 00:00:00+00:00"),
        ("2025-12-24T10:00:00+02:00", "2025-12-24 08:00:00+00:00"),
        ("1970-01-02", "1970-01-02 00:00:00+00:00"),
        ("0001-01-01T00:00:00", "None"),
        ("0001-01-01T00:00:00+02:00", "None"),
        ("0000-00-00 00:00:00", "None"),
        ("30.12.1899", "None"),
        ("1970-01-01T00:00:00Z", "None"),
    ],
)
def test_dates_of_consent(text: str, moment: str) -> None:
    assert str(parse_consent_date(text, NOW)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "3/4/2025",
        "31.02.2025",
        "soon",
        "0202-05-01",
        "9999-12-31",
        "9999-12-31T23:59:59-12:00",
        str(NOW + timedelta(1)),
    ],
)
def test_what_is_no_date_of_consent(text: str) -> None:
    with pytest.raises(ValueError, match="date of consent"):
        parse_consent_date(text, NOW)
