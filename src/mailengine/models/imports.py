"""What imports remember: how to take one back, and mappings that people saved."""

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_list, json_object, moment, ref
from mailengine.models.personal import Hold, Holdings, nothing


class ImportBatch(SQLModel, table=True):
    """One batch of an import by ids alone; `number` is how many records had been read at its end."""

    __tablename__ = "import_batches"
    __personal__: ClassVar[Holdings] = nothing("created", "joined", "stayed_off", "rejoined", "tagged")

    job_id: int = Field(foreign_key="jobs.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE")
    number: int = Field(primary_key=True, sa_type=sa.BigInteger)
    tenant_id: int = ref("tenants.id")
    created: list[Any] = json_list()  # runs of ids: [first, how many]
    joined: list[Any] = json_list()
    stayed_off: list[Any] = json_list()  # of `joined` those who left before, and joined as such
    rejoined: list[Any] = json_list()
    tagged: dict[str, Any] = json_object()  # tag id → runs of contact ids


class ImportChange(SQLModel, table=True):
    """What an import changed of a contact that was known: field → [was, is]."""

    __tablename__ = "import_changes"
    __personal__: ClassVar[Holdings] = {"change": Hold.DATA}
    __table_args__ = (sa.Index(None, "contact_id"),)

    job_id: int = Field(foreign_key="jobs.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE")
    contact_id: int = Field(
        foreign_key="contacts.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE"
    )
    tenant_id: int = ref("tenants.id")
    change: dict[str, Any] = json_object()


class ImportLifted(SQLModel, table=True):
    """An entry of the suppression list that an import took away (`--override-suppression`)."""

    __tablename__ = "import_lifted"
    __personal__: ClassVar[Holdings] = {"value": Hold.KEY, "source": Hold.WORDS} | nothing("kind", "reason")

    job_id: int = Field(foreign_key="jobs.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE")
    kind: str = Field(max_length=20, primary_key=True)
    value: str = Field(max_length=320, primary_key=True)
    tenant_id: int = ref("tenants.id")
    reason: str = Field(max_length=50)
    source: str = Field(default="", max_length=200)
    created_at: datetime = moment()


class ImportMapping(SQLModel, table=True):
    """A mapping of columns that a person saved under a name."""

    __tablename__ = "import_mappings"
    __personal__: ClassVar[Holdings] = nothing("name", "mapping")

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    name: str = Field(max_length=200, primary_key=True)
    mapping: dict[str, Any] = json_object()
    updated_at: datetime = moment()
