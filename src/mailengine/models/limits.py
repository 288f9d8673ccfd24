"""How much may be sent when: limits, the state of their token buckets, warm-ups, quiet hours, reputation."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import moment, one_of, pk, ref
from mailengine.models.personal import Holdings, nothing


class LimitScope(StrEnum):
    TENANT = "tenant"  # all that the tenant sends; target is empty
    RELAY = "relay"  # target: the relay's id
    PROVIDER = "provider"  # target: a provider group (google, microsoft, …) or a recipient's domain


class Period(StrEnum):
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class WarmUpScope(StrEnum):
    TENANT = "tenant"
    RELAY = "relay"
    DOMAIN = "domain"


class Limit(SQLModel, table=True):
    __tablename__ = "limits"
    __personal__: ClassVar[Holdings] = nothing("target")
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "scope", "target", "period"),
        one_of("scope", LimitScope),
        one_of("period", Period),
        sa.CheckConstraint("amount > 0", name="amount"),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    scope: str = Field(max_length=20)
    target: str = Field(default="", max_length=253)
    amount: int
    period: str = Field(max_length=10)
    created_at: datetime = moment()


class Bucket(SQLModel, table=True):
    """What is left of a limit; kept here so that restarts and further workers do not multiply it."""

    __tablename__ = "buckets"
    __personal__: ClassVar[Holdings] = nothing("name")

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    name: str = Field(max_length=300, primary_key=True)
    tokens: float
    filled_at: datetime = moment()


class WarmUp(SQLModel, table=True):
    """A sender whose reputation is being built; the schedule is in domain/delivery/limits/warm_up.py."""

    __tablename__ = "warm_ups"
    __personal__: ClassVar[Holdings] = nothing("target")
    __table_args__ = (sa.UniqueConstraint("tenant_id", "scope", "target"), one_of("scope", WarmUpScope))

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    scope: str = Field(max_length=20)
    target: str = Field(default="", max_length=253)  # relay id or domain
    started_at: datetime = moment()


class QuietHours(SQLModel, table=True):
    """The hours in which a tenant's campaigns rest, in its time zone; `starts` after `ends` spans midnight."""

    __tablename__ = "quiet_hours"
    __personal__: ClassVar[Holdings] = nothing("timezone")

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    starts: int  # minutes after midnight
    ends: int
    timezone: str = Field(max_length=64)


class Standing(StrEnum):
    OK = "ok"
    RISKY = "risky"  # sends after the others
    BAD = "bad"  # suspended


class Reputation(SQLModel, table=True):
    """What the scheduler last thought of a tenant's mail; the rules are in domain/delivery/reputation.py."""

    __tablename__ = "reputations"
    __table_args__ = (one_of("standing", Standing),)

    tenant_id: int = Field(foreign_key="tenants.id", primary_key=True, sa_type=sa.BigInteger)
    standing: str = Field(max_length=10)
    sent: int = Field(sa_type=sa.BigInteger)
    bounces: int = Field(sa_type=sa.BigInteger)
    complaints: int = Field(sa_type=sa.BigInteger)
    evaluated_at: datetime = moment()  # when the figures last changed
    held_at: datetime | None = moment(
        nullable=True
    )  # when it was last seen suspended; None: never, or long over
    sent_before: int = Field(default=0, sa_type=sa.BigInteger)  # all it had ever sent by then
