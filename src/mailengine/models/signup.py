"""Public sign-up forms, and what came in by them."""

from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_list, moment, pk, ref
from mailengine.models.personal import Hold, Holdings, nothing


class SignupForm(SQLModel, table=True):
    """A page that anybody may fill in; `uid` is its name in public addresses and tells nothing."""

    __tablename__ = "forms"
    __personal__: ClassVar[Holdings] = nothing("uid", "name", "title", "intro", "wording", "list_ids")
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "name"),
        sa.UniqueConstraint("uid"),
        sa.Index(None, "tenant_id", "id"),  # the order of the pages
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    uid: str = Field(max_length=32)
    name: str = Field(max_length=200)
    title: str = Field(max_length=200)
    intro: str = Field(default="", max_length=1000)
    wording: str = Field(max_length=2000)  # what people agree to; kept with each consent
    list_ids: list[int] = json_list()
    ask_name: bool = False
    enabled: bool = True
    created_at: datetime = moment()
    updated_at: datetime = moment()


class Signup(SQLModel, table=True):
    """Somebody filled in a form and has to confirm it, or did; the link in the message stands for this row."""

    __tablename__ = "signups"
    __personal__: ClassVar[Holdings] = {"ip": Hold.TRACE} | nothing("source", "wording", "list_ids")
    __table_args__ = (sa.Index(None, "contact_id", "created_at"), sa.Index(None, "created_at"))

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    contact_id: int = ref("contacts.id", cascade=True)
    source: str = Field(max_length=200)  # the form's name
    wording: str = Field(sa_type=sa.Text)
    list_ids: list[int] = json_list()
    ip: str = Field(default="", max_length=45)
    created_at: datetime = moment()
    confirmed_at: datetime | None = moment(nullable=True)
