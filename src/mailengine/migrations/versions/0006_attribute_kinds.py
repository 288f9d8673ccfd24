"""Attributes have a kind; those that are stored already are texts.

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("attributes") as batch:
        batch.add_column(sa.Column("kind", sa.String(length=20), nullable=False, server_default="text"))
        batch.create_check_constraint(
            op.f("ck_attributes_kind"), "kind IN ('text', 'number', 'date', 'boolean', 'list')"
        )
    with op.batch_alter_table("attributes") as batch:
        batch.alter_column("kind", server_default=None)
