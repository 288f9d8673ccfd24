"""Contacts, lists, suppression, imports."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import contacts_tenant, json_object, moment, one_of, pk, ref
from mailengine.models.personal import Hold, Holdings, nothing


class ContactState(StrEnum):
    SUBSCRIBED = "subscribed"
    UNCONFIRMED = "unconfirmed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    INACTIVE = "inactive"
    SUPPRESSED = "suppressed"


class MemberState(StrEnum):
    SUBSCRIBED = "subscribed"
    UNCONFIRMED = "unconfirmed"
    UNSUBSCRIBED = "unsubscribed"


class AttributeKind(StrEnum):
    """What `contacts.attributes` holds under a name: see domain/contacts/attribute_values.py."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"
    LIST = "list"


class SuppressionKind(StrEnum):
    ADDRESS = "address"  # value: the address's key
    DOMAIN = "domain"  # value: the domain as A-labels
    HASH = "hash"  # value: keyed hash of an erased address's key


class Contact(SQLModel, table=True):
    """A person of one tenant; `email` as mailed, `email_key` decides duplicates."""

    __tablename__ = "contacts"
    __personal__: ClassVar[Holdings] = {
        "email": Hold.ADDRESS,
        "email_key": Hold.KEY,
        "first_name": Hold.NAME,
        "last_name": Hold.NAME,
        "attributes": Hold.DATA,
        "consent_source": Hold.WORDS,
        "consent_ip": Hold.TRACE,
    }
    __table_args__ = (
        # The index on (tenant, address) of P75-08. One on the spelling too would double the cost of an import.
        sa.UniqueConstraint("tenant_id", "email_key"),
        # A tenant's contacts in the order of their pages, which is also that of the rows: SQLite reads segments by
        # it four times as fast as in the order of the addresses. An import only adds at its end.
        sa.Index(
            "ix_contacts_living",
            "tenant_id",
            "id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        # How many are in each state, which the page of contacts shows, and pages of one state.
        sa.Index(
            "ix_contacts_states",
            "tenant_id",
            "state",
            "id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        # The trash; what the chores look for. All hold few rows, and cost an import nothing.
        sa.Index(
            "ix_contacts_trash",
            "tenant_id",
            "id",
            sqlite_where=sa.text("deleted_at IS NOT NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_contacts_deleted",
            "deleted_at",
            sqlite_where=sa.text("deleted_at IS NOT NULL AND erased_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL AND erased_at IS NULL"),
        ),
        sa.Index(
            "ix_contacts_quiet",
            "tenant_id",
            "quiet_since",
            sqlite_where=sa.text("quiet_since IS NOT NULL"),
            postgresql_where=sa.text("quiet_since IS NOT NULL"),
        ),
        one_of("state", ContactState),
        {"sqlite_autoincrement": True},
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    email: str = Field(max_length=320)
    email_key: str = Field(max_length=320)
    first_name: str = Field(default="", max_length=200)
    last_name: str = Field(default="", max_length=200)
    state: str = Field(default=ContactState.SUBSCRIBED, max_length=20)
    attributes: dict[str, Any] = json_object()
    consent_source: str = Field(default="", max_length=200)
    consent_at: datetime | None = moment(nullable=True)
    consent_ip: str = Field(default="", max_length=45)
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)
    erased_at: datetime | None = moment(nullable=True)  # nothing of the person is left in this row
    quiet_since: datetime | None = moment(nullable=True)  # no sign of life: a re-engagement message is due
    kept_at: datetime | None = moment(nullable=True)  # somebody decided to mail them (again); a sign of life


class Attribute(SQLModel, table=True):
    """A custom field that some contact of the tenant has; its name is a merge tag."""

    __tablename__ = "attributes"
    __table_args__ = (one_of("kind", AttributeKind),)
    __personal__: ClassVar[Holdings] = nothing("name", "label")

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    name: str = Field(max_length=63, primary_key=True)
    label: str = Field(max_length=200)
    kind: str = Field(default=AttributeKind.TEXT, max_length=20)


class ContactList(SQLModel, table=True):
    """One that was deleted keeps its row: campaigns that went to it and consents still name it, its id never means
    another list, and who had left it is still known to have left (domain/campaigns/list_removal.py)."""

    __tablename__ = "lists"
    __personal__: ClassVar[Holdings] = nothing("name", "description")
    __table_args__ = (
        sa.Index(
            "uq_lists_tenant_id_name",
            "tenant_id",
            "name",
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        # The order of the pages.
        sa.Index(
            "ix_lists_present",
            "tenant_id",
            "id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        sa.Index(
            "ix_lists_to_empty",
            "deleted_at",
            sqlite_where=sa.text("deleted_at IS NOT NULL AND emptied_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL AND emptied_at IS NULL"),
        ),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=1000)  # what its readers are told that it is
    double_opt_in: bool = False  # who signs up is on it once they confirmed by a link
    public: bool = False  # offered to everybody in the preference centre
    created_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)
    emptied_at: datetime | None = moment(nullable=True)  # since then only those who had left are on it


class ListMember(SQLModel, table=True):
    __tablename__ = "list_members"
    # Without a row id SQLite keeps two trees of it instead of three.
    __table_args__ = (
        sa.Index(None, "contact_id"),
        one_of("state", MemberState),
        {"sqlite_with_rowid": False},
    )

    list_id: int = Field(foreign_key="lists.id", primary_key=True, sa_type=sa.BigInteger)
    contact_id: int = Field(
        foreign_key="contacts.id", primary_key=True, sa_type=sa.BigInteger, ondelete="CASCADE"
    )
    tenant_id: int = contacts_tenant()
    state: str = Field(default=MemberState.SUBSCRIBED, max_length=20)
    joined_at: datetime = moment()


class Suppression(SQLModel, table=True):
    """An address, domain or hash that must not be mailed, whatever a contact's state says."""

    __tablename__ = "suppressions"
    __personal__: ClassVar[Holdings] = {"value": Hold.KEY, "source": Hold.WORDS} | nothing("reason")
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "kind", "value"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
        one_of("kind", SuppressionKind),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    kind: str = Field(max_length=20)
    value: str = Field(max_length=320)
    reason: str = Field(max_length=50)
    source: str = Field(default="", max_length=200)
    created_at: datetime = moment()


class ConsentAct(StrEnum):
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class Consent(SQLModel, table=True):
    """One act of agreeing or leaving; rows are only added. The latest agreement also stands on the contact, and the
    first of one that was typed in only there (domain/contacts/consents.py)."""

    __tablename__ = "consents"
    __personal__: ClassVar[Holdings] = {
        "source": Hold.WORDS,
        "ip": Hold.TRACE,
    } | nothing("wording")
    __table_args__ = (sa.Index(None, "contact_id", "id"), one_of("act", ConsentAct))

    id: int | None = pk()
    tenant_id: int = contacts_tenant()
    contact_id: int = ref("contacts.id", cascade=True)
    at: datetime = moment()
    act: str = Field(max_length=20)
    source: str = Field(default="", max_length=200)
    ip: str = Field(default="", max_length=45)
    wording: str = Field(default="", sa_type=sa.Text)  # what the person was shown
    list_id: int | None = Field(
        default=None, sa_type=sa.BigInteger
    )  # None: mail at all; kept when the list goes


class Upkeep(SQLModel, table=True):
    """How a tenant keeps its data clean (P5-08) and for how long; without a row the rules in
    domain/contacts/upkeep.py hold. None: for ever."""

    __tablename__ = "upkeep"

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    hygiene: bool
    bounces: int
    bounce_days: int
    quiet_days: int
    inactive_days: int
    keep_events_days: int | None = Field(default=None)
    keep_audit_days: int | None = Field(default=None)
