"""Row-level security reads whose rows are to be seen once a statement, not once a row

Revision: 0023, after 0022
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_rule

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_PROTECTED = "SELECT format('%I', tablename) FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'tenant'"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    rule = policy_rule()
    for table in op.get_bind().scalars(sa.text(_PROTECTED)).all():
        op.execute(f"ALTER POLICY tenant ON {table} USING ({rule}) WITH CHECK ({rule})")
