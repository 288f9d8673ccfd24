"""Every column that could hold something of a person says whether it does (docs/development.md)."""

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from mailengine.domain.privacy.holdings import declared, holdings, models
from mailengine.models import Contact, metadata
from mailengine.models.personal import Hold

MODELS = sorted(models(), key=lambda model: str(model.__tablename__))
SPEAKING = (sa.String, AutoString, sa.JSON, sa.LargeBinary)


def free_columns(table: sa.Table) -> set[str]:
    """Columns of text, JSON or bytes that the database does not bind to a few words (`one_of`)."""
    bound = {str(check.name) for check in table.constraints if isinstance(check, sa.CheckConstraint)}
    return {
        column.name
        for column in table.columns
        if isinstance(column.type, SPEAKING) and f"ck_{table.name}_{column.name}" not in bound
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__tablename__))
def test_every_column_of_text_is_classified(model: type[SQLModel]) -> None:
    table = metadata.tables[str(model.__tablename__)]
    said = declared(model)
    unsaid = free_columns(table) - said.keys()
    assert not unsaid, f"say in {model.__name__}.__personal__ what {sorted(unsaid)} hold of a person"
    assert said.keys() <= set(table.c.keys()), "there is no such column"


def test_every_table_has_a_model() -> None:
    assert {str(model.__tablename__) for model in MODELS} == set(metadata.tables)


def test_what_is_held_of_a_contact_can_be_found() -> None:
    for holding in holdings():
        by_address = {Hold.ADDRESS, Hold.KEY} & set(holding.columns.values())
        assert holding.contact_id or by_address, f"{holding.table.name} has no way to its person"
        assert "tenant_id" in holding.table.c


def test_the_contact_itself_is_held_whole() -> None:
    (contact,) = [holding for holding in holdings() if holding.table is metadata.tables["contacts"]]
    assert contact.columns == declared(Contact)
