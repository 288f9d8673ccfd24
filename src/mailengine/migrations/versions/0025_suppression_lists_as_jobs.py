"""Jobs that take over a suppression list

Revision: 0025, after 0024
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_jobs_kind"),
            "kind IN ('import', 'expand', 'upload', 'undo-import', 'export', 'tenant-export', 'bulk', 'retype', "
            "'rename-attribute', 'remove-attribute', 'suppression-list')",
        )
