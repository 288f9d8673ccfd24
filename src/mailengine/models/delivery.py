"""The queue and ledger of messages, dead letters, kill switches, leases."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import moment, one_of, pk, ref
from mailengine.models.personal import Hold, Holdings, nothing


class TaskStatus(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    SENT = "sent"  # accepted by the server
    FAILED = "failed"  # a dead letter says why
    SKIPPED = "skipped"  # the gate or a cancel held it back for good
    DOUBT = "doubt"  # on the wire, and the answer was never read


OPEN_TASKS = (TaskStatus.QUEUED, TaskStatus.CLAIMED)


class EmailTask(SQLModel, table=True):
    """One message to one recipient: first the queue's entry, then the ledger's."""

    __tablename__ = "email_tasks"
    __personal__: ClassVar[Holdings] = {
        "email": Hold.ADDRESS,
        "external_msg_id": Hold.WORDS,
        "last_reply": Hold.WORDS,
    } | nothing("locked_by", "claim_token")
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "contact_id"),
        # A message's row is written twice, by its claim and by its outcome, each time into every index that holds it.
        # So no index that is not needed for each row holds all of them: those below hold what waits, what carries a
        # claim, and what ended badly. Statements name the status as a literal, else none of them is taken.
        sa.Index(
            "ix_email_tasks_claim",
            "campaign_id",
            "status",
            "scheduled_at",
            "id",
            sqlite_where=sa.text("status = 'queued'"),
            postgresql_where=sa.text("status = 'queued'"),
        ),
        # Claimed, or in doubt, which keeps its token.
        sa.Index(
            "ix_email_tasks_held",
            "status",
            "claim_token",
            sqlite_where=sa.text("claim_token IS NOT NULL"),
            postgresql_where=sa.text("claim_token IS NOT NULL"),
        ),
        # Few of many recipients. SQLite does not see that a status is in a list, only that it is one of an OR.
        sa.Index(
            "ix_email_tasks_unsent",
            "campaign_id",
            "status",
            "contact_id",
            sqlite_where=sa.text("status = 'failed' OR status = 'skipped'"),
            postgresql_where=sa.text("status = 'failed' OR status = 'skipped'"),
        ),
        sa.Index(None, "contact_id"),
        one_of("status", TaskStatus),
        {"sqlite_autoincrement": True},  # an id in a link that was sent must never mean another message
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    campaign_id: int = ref("campaigns.id")
    contact_id: int = ref("contacts.id")
    email: str = Field(max_length=320)  # frozen at launch
    status: str = Field(default=TaskStatus.QUEUED, max_length=10)
    scheduled_at: datetime = moment()
    attempts: int = Field(default=0)
    locked_by: str | None = Field(default=None, max_length=100)  # node id of the worker
    claim_token: str | None = Field(default=None, max_length=32)
    lease_until: datetime | None = moment(nullable=True)
    external_msg_id: str | None = Field(default=None, max_length=200)  # the server's words of acceptance
    last_reply: str = Field(default="", max_length=1000)
    first_tried_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)


class DeadLetter(SQLModel, table=True):
    """A message that was given up, with the server's words."""

    __tablename__ = "dead_letters"
    __personal__: ClassVar[Holdings] = {"email": Hold.ADDRESS, "reply": Hold.WORDS} | nothing(
        "cause", "enhanced"
    )
    __table_args__ = (
        sa.Index(None, "tenant_id", "at"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
        sa.Index(None, "campaign_id"),
        # Reputation counts the bounces of a month every minute, from this index alone.
        sa.Index(
            "ix_dead_letters_bounces",
            "tenant_id",
            "at",
            sqlite_where=sa.text("cause = 'recipient'"),
            postgresql_where=sa.text("cause = 'recipient'"),
        ),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    task_id: int = ref("email_tasks.id", index=True)
    campaign_id: int = ref("campaigns.id")
    contact_id: int = ref("contacts.id")
    email: str = Field(max_length=320)
    cause: str = Field(max_length=30)
    code: int = Field(default=0)
    enhanced: str = Field(default="", max_length=20)
    reply: str = Field(max_length=1000)
    attempts: int = Field(default=1)
    at: datetime = moment()


class MessageStatus(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    SENT = "sent"  # accepted by the server
    FAILED = "failed"  # given up; `last_reply` says why
    SKIPPED = "skipped"  # the address must not be mailed


class Message(SQLModel, table=True):
    """One transactional message to one person: a password reset, a confirmation, a notice; no campaign's.

    Subject and bodies may hold secrets: the bodies are emptied once the message has an outcome that ends it.
    """

    __tablename__ = "messages"
    __personal__: ClassVar[Holdings] = {
        "email": Hold.ADDRESS,
        "to_name": Hold.NAME,
        "subject": Hold.WORDS,
        "text": Hold.WORDS,
        "html": Hold.WORDS,
        "idempotency_key": Hold.ABSENT,
        "last_reply": Hold.WORDS,
    } | nothing("kind", "from_name", "from_email", "locked_by", "claim_token", "cause")
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "idempotency_key"),
        # Asked many times a second, and nearly always empty.
        sa.Index(
            "ix_messages_due",
            "tenant_id",
            "scheduled_at",
            sqlite_where=sa.text("status = 'queued'"),
            postgresql_where=sa.text("status = 'queued'"),
        ),
        sa.Index(
            "ix_messages_claim_token",
            "claim_token",
            sqlite_where=sa.text("claim_token IS NOT NULL"),
            postgresql_where=sa.text("claim_token IS NOT NULL"),
        ),
        sa.Index(None, "tenant_id", "status"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
        one_of("status", MessageStatus),
        {"sqlite_autoincrement": True},  # its id is in its Message-ID
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    kind: str = Field(max_length=30)
    idempotency_key: str | None = Field(default=None, max_length=200)
    email: str = Field(max_length=320)
    to_name: str = Field(default="", max_length=200)
    from_name: str = Field(default="", max_length=200)
    from_email: str = Field(max_length=320)
    subject: str = Field(max_length=500)
    text: str = Field(sa_type=sa.Text)
    html: str = Field(default="", sa_type=sa.Text)
    status: str = Field(default=MessageStatus.QUEUED, max_length=10)
    created_at: datetime = moment()
    scheduled_at: datetime = moment()
    attempts: int = Field(default=0)
    locked_by: str | None = Field(default=None, max_length=100)
    claim_token: str | None = Field(default=None, max_length=32)
    lease_until: datetime | None = moment(nullable=True)
    cause: str = Field(default="", max_length=30)  # of a failure
    last_reply: str = Field(default="", max_length=1000)
    first_tried_at: datetime | None = moment(nullable=True)
    finished_at: datetime | None = moment(nullable=True)


class DefaultSender(SQLModel, table=True):
    """Who a tenant's transactional mail is from where nobody says otherwise."""

    __tablename__ = "default_senders"
    __personal__: ClassVar[Holdings] = nothing("name", "email")

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    name: str = Field(default="", max_length=200)
    email: str = Field(max_length=320)


class KillSwitch(SQLModel, table=True):
    """A row holds sending at once: of the whole installation (key 0) or of the tenant with this id."""

    __tablename__ = "kill_switches"
    __personal__: ClassVar[Holdings] = nothing("reason", "set_by")

    key: int = Field(
        primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False}
    )  # 0, or the tenant's id
    reason: str = Field(default="", max_length=300)
    set_by: str = Field(max_length=100)
    set_at: datetime = moment()


class Lease(SQLModel, table=True):
    """Work that only one process of the installation may do."""

    __tablename__ = "leases"
    __personal__: ClassVar[Holdings] = nothing("name", "holder")

    name: str = Field(max_length=63, primary_key=True)
    holder: str = Field(max_length=100)
    expires_at: datetime = moment()
