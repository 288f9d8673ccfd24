"""Who joined a list by an import as somebody who had left.

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.types import JSONType

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_batches", sa.Column("stayed_off", JSONType, nullable=False, server_default="[]"))
