"""Tenants, users, credentials, audit."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_object, moment, one_of, pk, ref


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Tenant(SQLModel, table=True):
    __tablename__ = "tenants"

    id: int | None = pk()
    slug: str = Field(max_length=63, unique=True)
    name: str = Field(max_length=200)
    country: str = Field(max_length=2)
    postal_address: str = Field(max_length=500)
    created_at: datetime = moment()


class User(SQLModel, table=True):
    __tablename__ = "users"

    id: int | None = pk()
    email: str = Field(max_length=320)
    email_key: str = Field(max_length=320, unique=True)
    password_hash: str = Field(max_length=200)
    created_at: datetime = moment()


class Membership(SQLModel, table=True):
    __tablename__ = "memberships"
    __table_args__ = (one_of("role", Role),)

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    user_id: int = Field(foreign_key="users.id", primary_key=True, sa_type=sa.BigInteger)
    role: str = Field(max_length=20)


class WebSession(SQLModel, table=True):
    """A login; the cookie holds the token, the row only its hash."""

    __tablename__ = "web_sessions"

    token_hash: str = Field(max_length=64, primary_key=True)
    user_id: int = ref("users.id", index=True)
    tenant_id: int = ref("tenants.id")
    csrf_token: str = Field(max_length=64)
    created_at: datetime = moment()
    expires_at: datetime = moment()


class ApiKey(SQLModel, table=True):
    __tablename__ = "api_keys"
    __table_args__ = (one_of("role", Role), sa.UniqueConstraint("tenant_id", "name"))

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=100)
    token_hash: str = Field(max_length=64, unique=True)
    role: str = Field(max_length=20)
    created_at: datetime = moment()
    revoked_at: datetime | None = moment(nullable=True)


class AuditEntry(SQLModel, table=True):
    """Who did what to which record; metadata only, never an address, a row or a body (P1-06)."""

    __tablename__ = "audit_log"
    __table_args__ = (
        sa.Index(None, "tenant_id", "at"),
        # Reputation counts the complaints of a month every minute.
        sa.Index(
            "ix_audit_log_complaints",
            "tenant_id",
            "at",
            sqlite_where=sa.text("action = 'contact.complained'"),
            postgresql_where=sa.text("action = 'contact.complained'"),
        ),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    at: datetime = moment()
    actor: str = Field(max_length=100)
    action: str = Field(max_length=100)
    resource: str = Field(max_length=50)
    resource_id: int | None = Field(default=None, sa_type=sa.BigInteger)
    details: dict[str, Any] = json_object()
