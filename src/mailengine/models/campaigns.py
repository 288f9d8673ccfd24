"""Campaigns and their running totals."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_list, json_object, moment, one_of, pk, ref
from mailengine.models.personal import Holdings, nothing, quoting


class CampaignState(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"
    CANCELLED = "cancelled"


class Campaign(SQLModel, table=True):
    __tablename__ = "campaigns"
    __personal__: ClassVar[Holdings] = nothing(
        "name",
        "subject",
        "from_name",
        "from_email",
        "reply_to",
        "list_ids",
        "segment_ids",
        "excluded_list_ids",
        "excluded_segment_ids",
        "schedule_zone",
        "schedule_faults",
    ) | quoting("audience_rules")
    __table_args__ = (
        sa.Index(None, "tenant_id", "state"),
        sa.Index(None, "finished_at"),
        # The order of the pages.
        sa.Index(
            "ix_campaigns_present",
            "tenant_id",
            "id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        sa.Index(
            "ix_campaigns_scheduled",
            "scheduled_at",
            sqlite_where=sa.text("state = 'scheduled'"),
            postgresql_where=sa.text("state = 'scheduled'"),
        ),
        sa.Index(
            "uq_campaigns_tenant_id_name",
            "tenant_id",
            "name",
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        one_of("state", CampaignState),
        {"sqlite_autoincrement": True},
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=200)
    state: str = Field(default=CampaignState.DRAFT, max_length=20)
    template_id: int = ref("templates.id")
    subject: str = Field(max_length=1000)
    from_name: str = Field(default="", max_length=200)
    from_email: str = Field(max_length=320)
    reply_to: str = Field(default="", max_length=320)
    list_ids: list[int] = json_list()
    segment_ids: list[int] = json_list()
    excluded_list_ids: list[int] = json_list()
    excluded_segment_ids: list[int] = json_list()
    audience_rules: dict[str, Any] = json_object()  # the segments' rules as they were at the launch
    relay_id: int | None = ref("relays.id", nullable=True)  # None: the tenant's first relay
    track_opens: bool = True
    track_clicks: bool = True
    scheduled_at: datetime | None = moment(nullable=True)  # when it is or was to be sent by itself
    schedule_zone: str = Field(default="UTC", max_length=64)  # in which that time is shown
    schedule_faults: list[str] = json_list()  # why it was not sent then
    snapshot_id: int | None = Field(default=None, sa_type=sa.BigInteger)
    expand_cursor: int = Field(default=0, sa_type=sa.BigInteger)  # last contact id that became a task
    expanded_at: datetime | None = moment(nullable=True)  # set when every recipient has a task
    launched_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)


class CampaignTotals(SQLModel, table=True):
    """Counters kept in the transaction that changes a task, so that progress never counts a ledger."""

    __tablename__ = "campaign_totals"

    campaign_id: int = Field(
        foreign_key="campaigns.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE"
    )
    tenant_id: int = ref("tenants.id")
    tasks: int = Field(default=0, sa_type=sa.BigInteger)
    sent: int = Field(default=0, sa_type=sa.BigInteger)
    failed: int = Field(default=0, sa_type=sa.BigInteger)
    skipped: int = Field(default=0, sa_type=sa.BigInteger)
    doubt: int = Field(default=0, sa_type=sa.BigInteger)
