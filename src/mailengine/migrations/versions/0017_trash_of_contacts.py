"""the trash of contacts

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

DELETED = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    # Not by batch_alter_table: should it ever rebuild the table, its triggers would be gone (0015).
    op.create_index(
        "ix_contacts_trash", "contacts", ["tenant_id", "id"], sqlite_where=DELETED, postgresql_where=DELETED
    )
