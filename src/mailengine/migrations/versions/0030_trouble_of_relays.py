"""The last trouble of a relay

Revision: 0030, after 0029
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import UTCDateTime

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("relays") as batch:
        batch.add_column(sa.Column("trouble", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("trouble_at", UTCDateTime(), nullable=True))
    with op.batch_alter_table("relays") as batch:
        batch.alter_column("trouble", server_default=None)
