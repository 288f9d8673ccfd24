"""When an API key was last used

Revision: 0021, after 0020
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import UTCDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.add_column(sa.Column("last_used_at", UTCDateTime(), nullable=True))
