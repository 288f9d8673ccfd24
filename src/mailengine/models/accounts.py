"""Tenants, users, credentials, audit."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.db.types import BigPK, UTCDateTime
from mailengine.models.base import json_object, moment, one_of, pk, ref
from mailengine.models.personal import Holdings, nothing, staff


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Tenant(SQLModel, table=True):
    __tablename__ = "tenants"
    __personal__: ClassVar[Holdings] = nothing(
        "slug", "name", "country", "postal_address", "time_zone", "privacy_url", "terms_url"
    )

    id: int | None = pk()
    slug: str = Field(max_length=63, unique=True)
    name: str = Field(max_length=200)
    country: str = Field(max_length=2)
    postal_address: str = Field(max_length=500)
    time_zone: str = Field(default="UTC", max_length=64)  # in which its people plan
    privacy_url: str = Field(default="", max_length=500)  # shown below what its recipients see
    terms_url: str = Field(default="", max_length=500)
    track_opens: bool = True  # what a new campaign begins with
    track_clicks: bool = True
    created_at: datetime = moment()
    onboarded_at: datetime | None = moment(nullable=True)  # None: the first steps are not finished


class User(SQLModel, table=True):
    """Invariant: the person controls `email`, or the operator vouches for it; an address that nobody has confirmed
    is in no row here, but in a token that waits."""

    __tablename__ = "users"
    __personal__: ClassVar[Holdings] = staff("email", "email_key", "password_hash", "totp_sealed")

    id: int | None = pk()
    email: str = Field(max_length=320)
    email_key: str = Field(max_length=320, unique=True)
    password_hash: str = Field(max_length=200)
    created_at: datetime = moment()
    totp_sealed: str = Field(default="", sa_type=sa.Text, sa_column_kwargs={"server_default": ""})
    totp_since: datetime | None = moment(nullable=True)  # None: a secret that waits for its first code
    totp_last_step: int = Field(default=0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})


class Membership(SQLModel, table=True):
    __tablename__ = "memberships"
    __table_args__ = (one_of("role", Role),)

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    user_id: int = Field(foreign_key="users.id", primary_key=True, sa_type=sa.BigInteger)
    role: str = Field(max_length=20)


class WebSession(SQLModel, table=True):
    """A login; the cookie holds the token, the row only its hash."""

    __tablename__ = "web_sessions"
    __personal__: ClassVar[Holdings] = staff("token_hash", "csrf_token", "address", "agent")

    token_hash: str = Field(max_length=64, primary_key=True)
    user_id: int = ref("users.id", index=True)
    tenant_id: int = ref("tenants.id")
    csrf_token: str = Field(max_length=64)
    created_at: datetime = moment()
    expires_at: datetime = moment()
    proved_at: datetime | None = moment(nullable=True)  # when the person last showed a password or a code
    seen_at: datetime | None = moment(nullable=True)
    address: str = Field(default="", max_length=45, sa_column_kwargs={"server_default": ""})
    agent: str = Field(default="", max_length=200, sa_column_kwargs={"server_default": ""})


class TokenKind(StrEnum):
    SETUP = "setup"  # the first visit to an installation without users
    SIGN_UP = "sign-up"  # an account that waits for its address to be confirmed
    RESET_PASSWORD = "reset-password"  # noqa: S105  # a kind, not a password
    CHANGE_EMAIL = "change-email"
    SECOND_FACTOR = "second-factor"  # a right password that waits for its code
    OIDC = "oidc"  # a browser that is away at the identity provider


class AccountToken(SQLModel, table=True):
    """A secret that was handed out, to be redeemed once; the row goes with it and holds only its hash."""

    __tablename__ = "account_tokens"
    __personal__: ClassVar[Holdings] = staff("token_hash", "data")
    __table_args__ = (one_of("kind", TokenKind),)

    id: int | None = pk()
    kind: str = Field(max_length=20)
    token_hash: str = Field(max_length=64, unique=True)
    user_id: int | None = ref("users.id", nullable=True, index=True, cascade=True)
    data: dict[str, Any] = json_object()
    created_at: datetime = moment()
    expires_at: datetime = Field(sa_type=UTCDateTime, index=True)


class RecoveryCode(SQLModel, table=True):
    """Stands in for the second factor, once."""

    __tablename__ = "recovery_codes"
    __personal__: ClassVar[Holdings] = staff("code_hash")
    __table_args__ = (sa.UniqueConstraint("user_id", "code_hash"),)

    id: int | None = pk()
    user_id: int = ref("users.id", cascade=True)
    code_hash: str = Field(max_length=64)


class Identity(SQLModel, table=True):
    """A user as an OpenID provider knows them (OpenID Connect Core, section 2: `iss` and `sub` together)."""

    __tablename__ = "identities"
    __personal__: ClassVar[Holdings] = staff("issuer", "subject")
    __table_args__ = (sa.UniqueConstraint("issuer", "subject"),)

    id: int | None = pk()
    user_id: int = ref("users.id", index=True, cascade=True)
    issuer: str = Field(max_length=500)
    subject: str = Field(max_length=255)
    created_at: datetime = moment()


class Invitation(SQLModel, table=True):
    """An offer to join the tenant, for whoever reads mail at `email`."""

    __tablename__ = "invitations"
    __personal__: ClassVar[Holdings] = staff("email", "email_key", "token_hash", "invited_by")
    __table_args__ = (one_of("role", Role), sa.UniqueConstraint("tenant_id", "email_key"))

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    email: str = Field(max_length=320)
    email_key: str = Field(max_length=320)
    role: str = Field(max_length=20)
    token_hash: str = Field(max_length=64, unique=True)
    invited_by: str = Field(max_length=100)
    created_at: datetime = moment()
    expires_at: datetime = moment()


class AuthLimit(SQLModel, table=True):
    """A token bucket of guesses, shared by every web process; `key` is a hash of what is limited."""

    __tablename__ = "auth_limits"
    __personal__: ClassVar[Holdings] = nothing("key")

    key: str = Field(max_length=64, primary_key=True)
    tokens: float
    filled_at: datetime = Field(sa_type=UTCDateTime, index=True)


class Installation(SQLModel, table=True):
    """What the installation was told in its first steps: one row, with id 1."""

    __tablename__ = "installation"
    __personal__: ClassVar[Holdings] = nothing("base_url")
    __table_args__ = (sa.CheckConstraint("id = 1", name="single"),)

    id: int = Field(default=1, primary_key=True, sa_type=BigPK)
    base_url: str = Field(default="", max_length=500)


class ApiKey(SQLModel, table=True):
    __tablename__ = "api_keys"
    __personal__: ClassVar[Holdings] = nothing("name", "token_hash")
    __table_args__ = (one_of("role", Role), sa.UniqueConstraint("tenant_id", "name"))

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=100)
    token_hash: str = Field(max_length=64, unique=True)
    role: str = Field(max_length=20)
    created_at: datetime = moment()
    last_used_at: datetime | None = moment(nullable=True)  # to a quarter of an hour
    revoked_at: datetime | None = moment(nullable=True)


class AuditEntry(SQLModel, table=True):
    """Who did what to which record; metadata only, never an address, a row or a body (P1-06)."""

    __tablename__ = "audit_log"
    __personal__: ClassVar[Holdings] = staff("actor", "address") | nothing("action", "resource", "details")
    __table_args__ = (
        sa.Index(None, "tenant_id", "at"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
        # Reputation counts the complaints of a month every minute.
        sa.Index(
            "ix_audit_log_complaints",
            "tenant_id",
            "at",
            sqlite_where=sa.text("action = 'contact.complained'"),
            postgresql_where=sa.text("action = 'contact.complained'"),
        ),
        # The timeline of one contact.
        sa.Index(
            "ix_audit_log_contact",
            "resource_id",
            "at",
            sqlite_where=sa.text("resource = 'contact'"),
            postgresql_where=sa.text("resource = 'contact'"),
        ),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    at: datetime = moment()
    actor: str = Field(max_length=100)
    address: str = Field(default="", max_length=45, sa_column_kwargs={"server_default": ""})
    action: str = Field(max_length=100)
    resource: str = Field(max_length=50)
    resource_id: int | None = Field(default=None, sa_type=sa.BigInteger)
    details: dict[str, Any] = json_object()
