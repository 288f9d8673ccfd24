"""consent history, upkeep, what erasing needs

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upkeep",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("hygiene", sa.Boolean(), nullable=False),
        sa.Column("bounces", sa.Integer(), nullable=False),
        sa.Column("bounce_days", sa.Integer(), nullable=False),
        sa.Column("quiet_days", sa.Integer(), nullable=False),
        sa.Column("inactive_days", sa.Integer(), nullable=False),
        sa.Column("keep_events_days", sa.Integer(), nullable=True),
        sa.Column("keep_audit_days", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_upkeep_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_upkeep")),
    )
    op.create_table(
        "consents",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("act", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("list_id", BigPK, nullable=True),
        sa.CheckConstraint("act IN ('given', 'withdrawn')", name=op.f("ck_consents_act")),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_consents_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_consents_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consents_contact_id_id"), ["contact_id", "id"], unique=False)

    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased_at", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("quiet_since", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("kept_at", UTCDateTime(), nullable=True))
        batch_op.create_index(
            "ix_contacts_deleted",
            ["deleted_at"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NOT NULL AND erased_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NOT NULL AND erased_at IS NULL"),
        )
        batch_op.create_index(
            "ix_contacts_quiet",
            ["tenant_id", "quiet_since"],
            unique=False,
            sqlite_where=sa.text("quiet_since IS NOT NULL"),
            postgresql_where=sa.text("quiet_since IS NOT NULL"),
        )

    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_jobs_kind"), "kind IN ('import', 'expand', 'tenant-export')"
        )

    if op.get_bind().dialect.name == "postgresql":
        for table in ("consents", "upkeep"):
            for statement in policy_statements(table):
                op.execute(statement)
