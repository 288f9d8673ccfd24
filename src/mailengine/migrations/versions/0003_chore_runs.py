"""when each chore of the scheduler was last done

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import JSONType, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chore_runs",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("done_at", UTCDateTime(), nullable=False),
        sa.Column("figures", JSONType, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chore_runs")),
    )
