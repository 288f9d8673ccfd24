"""Relays, sending domains and their DKIM keys."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_object, moment, one_of, pk, ref
from mailengine.models.personal import Holdings, nothing


class Tls(StrEnum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class RelayAuth(StrEnum):
    PASSWORD = "password"  # noqa: S105  # CRAM-MD5, PLAIN or LOGIN, whichever the server offers
    XOAUTH2 = "xoauth2"  # the password is an OAuth access token, which its owner replaces before it ends


class RelayKind(StrEnum):
    SMTP = "smtp"  # one server that takes all mail
    DIRECT = "direct"  # the recipients' own mail hosts, found by MX; host and port stay unused


class Relay(SQLModel, table=True):
    """A way for the tenant's mail; among several, the least `priority` number comes first, and those of one
    priority share by `weight`."""

    __tablename__ = "relays"
    __personal__: ClassVar[Holdings] = nothing(
        "name", "host", "username", "password_sealed", "helo", "source_address", "trouble"
    )
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        one_of("kind", RelayKind),
        one_of("tls", Tls),
        one_of("auth", RelayAuth),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=100)
    kind: str = Field(default=RelayKind.SMTP, max_length=10)
    host: str = Field(max_length=253)
    port: int
    tls: str = Field(max_length=20)
    auth: str = Field(default=RelayAuth.PASSWORD, max_length=10)
    username: str = Field(default="", max_length=320)
    password_sealed: str = Field(default="", sa_type=sa.Text)
    helo: str = Field(default="", max_length=253)  # of direct delivery: must resolve to the source address
    source_address: str = Field(default="", max_length=45)
    priority: int = Field(default=0)
    weight: int = Field(default=1)
    enabled: bool = Field(default=True)
    trouble: str = Field(default="", sa_type=sa.Text)  # why it was last left alone, in its words or ours
    trouble_at: datetime | None = moment(nullable=True)  # None: it has taken a message since
    created_at: datetime = moment()


class SendingDomain(SQLModel, table=True):
    __tablename__ = "sending_domains"
    __personal__: ClassVar[Holdings] = nothing("domain", "checks")
    __table_args__ = (sa.UniqueConstraint("tenant_id", "domain"),)

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    domain: str = Field(max_length=253)
    verified_at: datetime | None = moment(nullable=True)
    checked_at: datetime | None = moment(nullable=True)
    checks: dict[str, Any] = json_object()  # the last result of each DNS check
    created_at: datetime = moment()


class DkimKey(SQLModel, table=True):
    __tablename__ = "dkim_keys"
    __personal__: ClassVar[Holdings] = nothing("selector", "algorithm", "private_sealed", "public_record")
    __table_args__ = (sa.UniqueConstraint("domain_id", "selector"),)

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    domain_id: int = ref("sending_domains.id", cascade=True)
    selector: str = Field(max_length=63)
    algorithm: str = Field(max_length=20)
    private_sealed: str = Field(sa_type=sa.Text)
    public_record: str = Field(sa_type=sa.Text)
    published_at: datetime | None = moment(nullable=True)  # the DNS showed it: from then on it signs
    created_at: datetime = moment()
