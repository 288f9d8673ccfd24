"""Tags: short labels on contacts."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import contacts_tenant, moment, pk, ref
from mailengine.models.personal import Holdings, nothing


class Tag(SQLModel, table=True):
    """`name` as it was first written, `key` decides which tags are the same."""

    __tablename__ = "tags"
    __personal__: ClassVar[Holdings] = nothing("name", "key")
    __table_args__ = (sa.UniqueConstraint("tenant_id", "key"),)

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=100)
    key: str = Field(max_length=200)  # a folded letter may become three
    created_at: datetime = moment()


class ContactTag(SQLModel, table=True):
    __tablename__ = "contact_tags"
    # Nothing but its key: without a row id SQLite keeps one tree of it instead of two.
    __table_args__ = (sa.Index(None, "contact_id"), {"sqlite_with_rowid": False})

    tag_id: int = Field(foreign_key="tags.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE")
    contact_id: int = Field(
        foreign_key="contacts.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE"
    )
    tenant_id: int = contacts_tenant()
