"""Where a person's data is: read from what the models declare, so that a new table is found by itself.

A person is a set of contacts (by id) and of addresses; a table's rows are theirs by its column `contact_id`, and
by an address or its key where it has one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from mailengine.core.scope import Scope
from mailengine.models import Contact
from mailengine.models.personal import Hold, Holdings

ERASED_DOMAIN = "gdpr.invalid"  # RFC 6761 6.4: no such domain will ever exist
ERASED = "[Deleted]"
_OF_CONTACTS = frozenset(Hold) - {Hold.QUOTE, Hold.STAFF, Hold.NOTHING}


@dataclass(frozen=True, slots=True)
class People:
    """Whose data is meant. `keys` are address keys, `addresses` the spellings that are known."""

    contact_ids: Collection[int] = ()
    keys: Collection[str] = ()
    addresses: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """A table that holds something of contacts: what in which column, and how its rows are found."""

    table: sa.Table
    columns: Holdings
    contact_id: str | None

    def theirs(self, scope: Scope, people: People) -> sa.ColumnElement[bool]:
        """The rows that are these people's."""
        columns = self.table.c
        ways: list[sa.ColumnElement[bool]] = [sa.false()]
        if self.contact_id is not None and people.contact_ids:
            ways.append(columns[self.contact_id].in_(people.contact_ids))
        if self.contact_id is None or columns[self.contact_id].nullable:
            spellings = {Hold.ADDRESS: {*people.addresses, *people.keys}, Hold.KEY: {*people.keys}}
            for name, hold in self.columns.items():
                if spellings.get(hold):
                    ways.append(columns[name].in_(spellings[hold]))
        return sa.and_(columns.tenant_id == scope.tenant_id, sa.or_(*ways))

    def emptied(self) -> dict[str, Any]:
        """What takes the place of each column's value."""
        whose = self.table.c[self.contact_id] if self.contact_id is not None else None
        return {name: _emptied(self.table.c[name], hold, whose) for name, hold in self.columns.items()}


def declared(model: type[SQLModel]) -> Holdings:
    """What the model says of its columns."""
    found: Holdings = getattr(model, "__personal__", {})
    return found


def models() -> Iterator[type[SQLModel]]:
    """Every table class there is."""
    for mapper in SQLModel._sa_registry.mappers:
        yield mapper.class_


def holdings() -> list[Holding]:
    """Tables with something of a contact in them, and those that only tie something to one."""
    found = []
    for model in models():
        table = model.__table__  # type: ignore[attr-defined]
        columns = {name: hold for name, hold in declared(model).items() if hold in _OF_CONTACTS}
        way = "id" if model is Contact else ("contact_id" if "contact_id" in table.c else None)
        if columns or way:
            found.append(Holding(table, columns, way))
    return sorted(found, key=lambda holding: str(holding.table.name))


def _emptied(column: sa.Column[Any], hold: Hold, contact_id: sa.Column[Any] | None) -> Any:
    match hold:
        case Hold.ADDRESS:
            return _nobody("deleted-", contact_id)
        case Hold.KEY:
            return _nobody("deleted ", contact_id)  # with a blank in it, which no address's key has
        case Hold.NAME:
            return ERASED
        case Hold.WORDS:
            return sa.case((sa.func.length(column) > 0, ERASED), else_=column)
        case Hold.TRACE:
            return ""
        case Hold.ABSENT:
            return None
        case Hold.DATA:
            return {}
        case Hold.ITEMS:
            return []
        case Hold.QUOTE | Hold.STAFF | Hold.NOTHING:
            return column


def _nobody(before: str, contact_id: sa.Column[Any] | None) -> Any:
    if contact_id is None:
        return f"deleted@{ERASED_DOMAIN}"
    number = sa.func.coalesce(sa.cast(contact_id, sa.String), "0")
    return sa.literal(before, sa.String) + number + sa.literal(f"@{ERASED_DOMAIN}", sa.String)
