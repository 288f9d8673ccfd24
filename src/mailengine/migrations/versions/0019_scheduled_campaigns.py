"""Scheduled campaigns; what a tenant plans in, links to and counts by default.

Revision: 0019, after 0018
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import JSONType, UTCDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite makes the table anew for its constraint, and must not give the ids of deleted campaigns again.
    with op.batch_alter_table(
        "campaigns", schema=None, table_kwargs={"sqlite_autoincrement": True}
    ) as batch_op:
        batch_op.add_column(sa.Column("scheduled_at", UTCDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("schedule_zone", sa.String(length=64), nullable=False, server_default="UTC")
        )
        batch_op.add_column(sa.Column("schedule_faults", JSONType, nullable=False, server_default="[]"))
        batch_op.drop_constraint(op.f("ck_campaigns_state"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_campaigns_state"),
            "state IN ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')",
        )
    op.create_index(
        "ix_campaigns_scheduled",
        "campaigns",
        ["scheduled_at"],
        unique=False,
        sqlite_where=sa.text("state = 'scheduled'"),
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("time_zone", sa.String(length=64), nullable=False, server_default="UTC")
        )
        batch_op.add_column(
            sa.Column("privacy_url", sa.String(length=500), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("terms_url", sa.String(length=500), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("track_opens", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("track_clicks", sa.Boolean(), nullable=False, server_default=sa.true()))
