"""Lists can be deleted: the row stays, its name is free

Revision: 0024, after 0023
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import UTCDateTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("lists", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("emptied_at", UTCDateTime(), nullable=True))
        batch_op.drop_constraint(op.f("uq_lists_tenant_id_name"), type_="unique")
    op.create_index(
        "uq_lists_tenant_id_name",
        "lists",
        ["tenant_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_lists_to_empty",
        "lists",
        ["deleted_at"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL AND emptied_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL AND emptied_at IS NULL"),
    )
