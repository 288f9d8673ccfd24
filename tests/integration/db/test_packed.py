"""Rows that come in one piece are the rows that come one by one."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.packed import Packed
from mailengine.db.types import JSONType, UTCDateTime
from mailengine.db.unit import Database

pytestmark = pytest.mark.anyio
ME = InstanceScope("test")
TEXT = 'quote " back \\ line\nend tab\t \x01 \x7f \u2028 Zoë 😀'
VALUES = {"text": TEXT, "list": [1, 2.5, None, True, TEXT], "empty": {}}
MOMENT = datetime(2026, 11, 26, 3, 4, 5, 678901, UTC)


async def test_each_type_comes_back_as_it_is(db: Database) -> None:
    asked = sa.select(
        sa.bindparam("number", type_=sa.BigInteger).label("number"),
        sa.bindparam("text", type_=sa.Text).label("text"),
        sa.bindparam("values", type_=JSONType).label("values"),
        sa.bindparam("moment", type_=UTCDateTime).label("moment"),
        sa.bindparam("truth", type_=sa.Boolean).label("truth"),
        sa.null().label("absent"),
    )
    values = {"number": 2**62 + 1, "text": TEXT, "values": VALUES, "moment": MOMENT, "truth": True}
    async with db.read(ME) as tx:
        (row,) = await Packed(asked).rows(tx, values)
    assert list(row) == [2**62 + 1, TEXT, VALUES, MOMENT, True, None]


async def test_no_rows_are_none(db: Database) -> None:
    async with db.read(ME) as tx:
        assert await Packed(sa.select(sa.literal(1).label("one")).where(sa.false())).rows(tx, {}) == []


async def test_rows_keep_their_order(db: Database) -> None:
    letters = sa.union_all(*(sa.select(sa.literal(letter).label("letter")) for letter in "cabd")).subquery()
    async with db.read(ME) as tx:
        rows = await Packed(sa.select(letters.c.letter).order_by(letters.c.letter)).rows(tx, {})
    assert [row[0] for row in rows] == list("abcd")
