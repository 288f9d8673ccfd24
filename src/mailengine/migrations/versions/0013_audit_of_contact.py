"""the timeline of one contact reads the audit log

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(
            "ix_audit_log_contact",
            ["resource_id", "at"],
            unique=False,
            sqlite_where=sa.text("resource = 'contact'"),
            postgresql_where=sa.text("resource = 'contact'"),
        )
