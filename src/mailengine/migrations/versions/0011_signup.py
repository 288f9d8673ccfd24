"""signup

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, JSONType, UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forms",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("intro", sa.String(length=1000), nullable=False),
        sa.Column("wording", sa.String(length=2000), nullable=False),
        sa.Column("list_ids", JSONType, nullable=False),
        sa.Column("ask_name", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_forms_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forms")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_forms_tenant_id_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_forms_uid")),
    )
    op.create_table(
        "signups",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("list_ids", JSONType, nullable=False),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("confirmed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_signups_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_signups_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signups")),
    )
    with op.batch_alter_table("signups", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_signups_contact_id_created_at"), ["contact_id", "created_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_signups_created_at"), ["created_at"], unique=False)

    with op.batch_alter_table("lists", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("description", sa.String(length=1000), nullable=False, server_default="")
        )
        batch_op.add_column(
            sa.Column("double_opt_in", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("public", sa.Boolean(), nullable=False, server_default=sa.false()))

    if op.get_bind().dialect.name == "postgresql":
        for table in ("forms", "signups"):
            for statement in policy_statements(table):
                op.execute(statement)
