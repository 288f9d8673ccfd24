"""the timeline of one contact reads the audit log

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
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
