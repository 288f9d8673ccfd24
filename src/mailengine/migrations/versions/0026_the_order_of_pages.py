"""The order of the pages of a tenant's rows

Revision: 0026, after 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("audit_log", "dead_letters", "forms", "jobs", "messages", "segments", "suppressions"):
        op.create_index(op.f(f"ix_{table}_tenant_id_id"), table, ["tenant_id", "id"], unique=False)
    present = sa.text("deleted_at IS NULL")
    for table in ("campaigns", "lists", "templates"):
        op.create_index(
            f"ix_{table}_present",
            table,
            ["tenant_id", "id"],
            unique=False,
            sqlite_where=present,
            postgresql_where=present,
        )
