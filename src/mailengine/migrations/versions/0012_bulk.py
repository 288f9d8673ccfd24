"""Bulk acts are jobs; contacts in the order of their pages.

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_jobs_kind"),
            "kind IN ('import', 'expand', 'undo-import', 'export', 'tenant-export', 'bulk')",
        )
    op.create_index(
        "ix_contacts_living",
        "contacts",
        ["tenant_id", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
