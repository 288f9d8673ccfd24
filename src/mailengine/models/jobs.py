"""Long work with progress (P75-05)."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_object, moment, one_of, pk, ref
from mailengine.models.personal import Holdings, quoting


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobKind(StrEnum):
    IMPORT = "import"
    EXPAND = "expand"
    UPLOAD = "upload"  # a file that was uploaded: the daemon imports it
    UNDO_IMPORT = "undo-import"
    EXPORT = "export"
    TENANT_EXPORT = "tenant-export"
    BULK = "bulk"
    RETYPE = "retype"  # an attribute becomes another kind
    RENAME_ATTRIBUTE = "rename-attribute"
    REMOVE_ATTRIBUTE = "remove-attribute"
    SUPPRESSION_LIST = "suppression-list"  # one that was uploaded is taken over


class Job(SQLModel, table=True):
    __tablename__ = "jobs"
    __personal__: ClassVar[Holdings] = quoting("title", "error", "result")
    __table_args__ = (
        sa.Index(None, "tenant_id", "created_at"),
        sa.Index(
            None, "tenant_id", "id"
        ),  # the order of the pages; without it SQLite sorts all of a tenant's rows
        sa.Index(None, "state", "kind"),
        one_of("kind", JobKind),
        one_of("state", JobState),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    kind: str = Field(max_length=20)
    state: str = Field(default=JobState.QUEUED, max_length=20)
    subject_id: int | None = Field(default=None, sa_type=sa.BigInteger)  # the campaign or list it works on
    title: str = Field(default="", max_length=300)
    done: int = Field(default=0, sa_type=sa.BigInteger)
    total: int | None = Field(default=None, sa_type=sa.BigInteger)
    error: str = Field(default="", max_length=1000)
    result: dict[str, Any] = json_object()
    created_at: datetime = moment()
    started_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)
