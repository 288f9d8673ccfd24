"""segments

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, JSONType, UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "activity_marks",
        sa.Column("name", sa.String(length=30), nullable=False),
        sa.Column("last_id", BigPK, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_activity_marks")),
    )
    op.create_table(
        "segments",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("rule", JSONType, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_segments_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_segments_tenant_id_name")),
    )
    op.create_table(
        "contact_activity",
        sa.Column("contact_id", BigPK, autoincrement=False, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=True),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=True),
        sa.Column("clicked", sa.Integer(), nullable=False),
        sa.Column("clicked_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_contact_activity_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_contact_activity_tenant_id")),
        sa.PrimaryKeyConstraint("contact_id", name=op.f("pk_contact_activity")),
    )
    op.create_table(
        "campaign_activity",
        sa.Column("campaign_id", BigPK, autoincrement=False, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("since", UTCDateTime(), nullable=True),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("cursor", BigPK, nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("finished_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_activity_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_campaign_activity_tenant_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_activity")),
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.add_column(sa.Column("segment_ids", JSONType, nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("excluded_list_ids", JSONType, nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("excluded_segment_ids", JSONType, nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("audience_rules", JSONType, nullable=False, server_default="{}"))

    with op.batch_alter_table("email_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_email_events_campaign_id_contact_id"))
        batch_op.create_index(
            batch_op.f("ix_email_events_campaign_id_contact_id_kind_at"),
            ["campaign_id", "contact_id", "kind", "at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_email_events_tenant_id_kind_at_contact_id"),
            ["tenant_id", "kind", "at", "contact_id"],
            unique=False,
        )

    if op.get_bind().dialect.name == "postgresql":
        for table in ("segments", "contact_activity", "campaign_activity"):
            for statement in policy_statements(table):
                op.execute(statement)
