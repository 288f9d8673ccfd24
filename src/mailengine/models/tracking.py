"""What recipients did, one row an event."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import moment, one_of, pk, ref
from mailengine.models.personal import Hold, Holdings, nothing


class EventKind(StrEnum):
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    RESUBSCRIBE = "resubscribe"


class EmailEvent(SQLModel, table=True):
    __tablename__ = "email_events"
    __personal__: ClassVar[Holdings] = {"ip": Hold.TRACE, "user_agent": Hold.TRACE} | nothing("uid")
    __table_args__ = (
        sa.UniqueConstraint("uid"),
        # Segments and reports read who did what with a campaign, and who did it lately, from these alone.
        sa.Index(None, "campaign_id", "contact_id", "kind", "at"),
        sa.Index(None, "tenant_id", "kind", "at", "contact_id"),
        sa.Index(None, "contact_id", "at"),
        one_of("kind", EventKind),
    )

    id: int | None = pk()
    uid: str = Field(max_length=36)  # makes a batch that is written again harmless
    tenant_id: int = ref("tenants.id")
    task_id: int = Field(sa_type=sa.BigInteger)
    campaign_id: int = Field(sa_type=sa.BigInteger)
    contact_id: int = Field(sa_type=sa.BigInteger)
    kind: str = Field(max_length=20)
    at: datetime = moment()
    link: int | None = Field(default=None)  # index into the snapshot's links
    ip: str = Field(default="", max_length=45)
    user_agent: str = Field(default="", max_length=300)
