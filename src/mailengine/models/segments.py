"""Saved segments, and what contacts did, counted per contact so that segments need not count events."""

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.db.types import BigPK
from mailengine.models.base import json_object, moment, pk, ref
from mailengine.models.personal import Holdings, nothing, quoting


class Segment(SQLModel, table=True):
    """Rules under a name; who matches them is found when it is asked."""

    __tablename__ = "segments"
    __personal__: ClassVar[Holdings] = nothing("name") | quoting("rule")
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=200)
    rule: dict[str, Any] = json_object()
    created_at: datetime = moment()
    updated_at: datetime = moment()


class ContactActivity(SQLModel, table=True):
    """Sums of tasks and events; whoever is in neither has no row. What is not in it yet is known, too: events
    above `ActivityMark`, and the tasks of campaigns that `CampaignActivity` does not call complete."""

    __tablename__ = "contact_activity"

    contact_id: int = Field(
        primary_key=True,
        foreign_key="contacts.id",
        sa_type=BigPK,
        ondelete="CASCADE",
        sa_column_kwargs={"autoincrement": False},
    )
    tenant_id: int = ref("tenants.id")
    received: int = Field(default=0)
    received_at: datetime | None = moment(nullable=True)
    opened: int = Field(default=0)
    opened_at: datetime | None = moment(nullable=True)
    clicked: int = Field(default=0)
    clicked_at: datetime | None = moment(nullable=True)


class ActivityMark(SQLModel, table=True):
    """Up to which event the sums go; one row."""

    __tablename__ = "activity_marks"
    __personal__: ClassVar[Holdings] = nothing("name")

    name: str = Field(max_length=30, primary_key=True)
    last_id: int = Field(default=0, sa_type=sa.BigInteger)


class CampaignActivity(SQLModel, table=True):
    """Which tasks of a campaign are in the sums: those that ended after `since` and not after `until`, up to the
    contact `cursor`; when it is complete, all that ended not after `until`."""

    __tablename__ = "campaign_activity"

    campaign_id: int = Field(
        primary_key=True,
        foreign_key="campaigns.id",
        sa_type=BigPK,
        ondelete="CASCADE",
        sa_column_kwargs={"autoincrement": False},
    )
    tenant_id: int = ref("tenants.id")
    since: datetime | None = moment(nullable=True)
    until: datetime | None = moment(nullable=True)
    cursor: int = Field(default=0, sa_type=sa.BigInteger)
    complete: bool = False
    finished_at: datetime = moment()  # the campaign's, when its tasks were counted: it may be reopened
