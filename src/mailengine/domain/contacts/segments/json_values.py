"""One value of a contact's attributes in SQL, alike on both databases."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

Condition = sa.ColumnElement[bool]

_FEW_TEXTS = 8
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:@+-]+")


class JsonValue:
    """One value of the attributes, which holds what its kind says (`attribute_values`) or is not there.

    Reading a value costs SQLite a parse of the whole object, a microsecond for each contact: each condition reads
    it once, and none asks for its type first.
    """

    def __init__(self, column: Any, name: str, *, postgres: bool) -> None:
        self._column = sa.type_coerce(column, JSONB) if postgres else column
        self._name, self._postgres = name, postgres

    def _value(self) -> sa.ColumnElement[Any]:
        """In SQLite of its own type, in PostgreSQL a text; NULL where there is none."""
        if self._postgres:
            value: sa.ColumnElement[Any] = self._column[self._name].astext
            return value
        return sa.func.json_extract(self._column, f"$.{self._name}")

    def text(self) -> sa.ColumnElement[str]:
        """The text, empty where there is none."""
        return sa.func.coalesce(self._value(), "")

    def equals(self, values: tuple[str, ...]) -> Condition:
        return self._where_written(values, self.text().in_(values))

    def empty(self) -> Condition:
        return self.text().in_(["", "[]"])

    def _where_written(self, values: tuple[str, ...], condition: Condition) -> Condition:
        """The condition, asked on SQLite only of objects that hold one of the texts anywhere: looking for it takes
        a tenth of reading the object. Only what every writer of JSON spells alike can be looked for."""
        if self._postgres or len(values) > _FEW_TEXTS or not all(map(_PLAIN.fullmatch, values)):
            return condition
        written = [sa.func.instr(self._column, f'"{value}"') > 0 for value in values]
        return sa.and_(sa.or_(*written), condition)

    def where_part(self, folded: str, condition: Condition) -> Condition:
        """The same for a part of a text, in small letters."""
        if self._postgres or not _PLAIN.fullmatch(folded):
            return condition
        return sa.and_(sa.func.instr(sa.func.lower(self._column), folded) > 0, condition)

    def number(self, op: str, values: list[float]) -> Condition:
        if self._postgres:  # as it is: reading its text, and a number out of that, takes half as long again
            as_json = [sa.literal(value, JSONB) for value in values]
            return sa.func.coalesce(_ordered(self._column[self._name], op, as_json), sa.false())
        return sa.func.coalesce(_ordered(self._value(), op, values), sa.false())

    def boolean(self, wanted: bool) -> Condition:
        if self._postgres:
            return self.text() == ("true" if wanted else "false")
        return sa.func.coalesce(self._value() == int(wanted), sa.false())

    def day(self, op: str, values: tuple[str, ...], today: date) -> Condition:
        """Dates and moments are ISO texts, whose order is that of the days that they begin with."""
        plain: sa.ColumnElement[Any] = sa.func.substr(self._value(), 1, 10)
        if self._postgres:
            plain = sa.collate(plain, "C")
        if op == "within":
            since = today - timedelta(days=int(values[0]))
            return sa.func.coalesce(plain.between(since.isoformat(), today.isoformat()), sa.false())
        return sa.func.coalesce(_ordered(plain, op, values), sa.false())

    def holds(self, values: tuple[str, ...]) -> Condition:
        """Whether the list holds one of the texts."""
        if self._postgres:
            some = sa.or_(*(self._column[self._name].contains([value]) for value in values))
            return sa.func.coalesce(some, sa.false())
        parts = sa.func.json_each(self._column, f"$.{self._name}").table_valued("value")
        found = sa.exists().where(parts.c.value.in_(values)).select_from(parts)
        return self._where_written(values, found)


def _ordered(
    column: sa.ColumnElement[Any], op: str, values: Sequence[float | str | sa.ColumnElement[Any]]
) -> Condition:
    match op:
        case "<":
            return column < values[0]
        case "<=":
            return column <= values[0]
        case ">":
            return column > values[0]
        case ">=":
            return column >= values[0]
        case _:
            return column.in_(values)
