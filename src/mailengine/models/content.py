"""Templates, their versions, shared blocks, and the snapshots that campaigns send."""

from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from mailengine.models.base import json_list, json_object, moment, pk, ref
from mailengine.models.personal import Holdings, nothing, staff


class Template(SQLModel, table=True):
    __tablename__ = "templates"
    __personal__: ClassVar[Holdings] = nothing("name", "category")
    __table_args__ = (
        # A deleted template gives its name free.
        sa.Index(
            "uq_templates_tenant_id_name",
            "tenant_id",
            "name",
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        # The order of the pages.
        sa.Index(
            "ix_templates_present",
            "tenant_id",
            "id",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=200)
    category: str = Field(default="", max_length=100)
    version: int = Field(default=1)  # of the newest TemplateVersion
    created_at: datetime = moment()
    updated_at: datetime = moment()
    deleted_at: datetime | None = moment(nullable=True)


class TemplateVersion(SQLModel, table=True):
    """What one save stored; `source` is what was given, `html` the sanitised form that is sent."""

    __tablename__ = "template_versions"
    __personal__: ClassVar[Holdings] = staff("created_by") | nothing("source", "html", "text")
    __table_args__ = (sa.UniqueConstraint("template_id", "version"),)

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    template_id: int = ref("templates.id", cascade=True)
    version: int
    source: str = Field(sa_type=sa.Text)
    html: str = Field(sa_type=sa.Text)
    text: str = Field(sa_type=sa.Text)
    text_is_own: bool = False
    created_at: datetime = moment()
    created_by: str = Field(max_length=100)


class Block(SQLModel, table=True):
    """A shared piece of HTML, included by name in templates."""

    __tablename__ = "blocks"
    __personal__: ClassVar[Holdings] = nothing("name", "html")
    __table_args__ = (sa.UniqueConstraint("tenant_id", "name"),)

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    name: str = Field(max_length=100)
    html: str = Field(sa_type=sa.Text)
    updated_at: datetime = moment()


class Snapshot(SQLModel, table=True):
    """All that a campaign sends, frozen at launch; later edits of its sources change nothing."""

    __tablename__ = "snapshots"
    __personal__: ClassVar[Holdings] = nothing(
        "subject", "from_name", "from_email", "reply_to", "html", "text", "links", "settings"
    )

    id: int | None = pk()
    tenant_id: int = ref("tenants.id")
    campaign_id: int = ref("campaigns.id", index=True)
    subject: str = Field(sa_type=sa.Text)
    from_name: str = Field(max_length=200)
    from_email: str = Field(max_length=320)
    reply_to: str = Field(default="", max_length=320)
    html: str = Field(sa_type=sa.Text)
    text: str = Field(sa_type=sa.Text)
    links: list[str] = json_list()
    settings: dict[str, Any] = json_object()
    created_at: datetime = moment()
