"""Relays may log in by an access token (XOAUTH2); those that are stored already have passwords.

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("relays") as batch:
        batch.add_column(sa.Column("auth", sa.String(length=10), nullable=False, server_default="password"))
        batch.create_check_constraint(op.f("ck_relays_auth"), "auth IN ('password', 'xoauth2')")
    with op.batch_alter_table("relays") as batch:
        batch.alter_column("auth", server_default=None)
