"""Fewer indexes of messages

A message is written twice, by its claim and by its outcome, each time into every index that holds it. One index of all
of them by status gives way to two that hold few: what carries a claim, and what ended badly.

Revision: 0028, after 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_ALL_BY_STATUS, _BY_TOKEN = "ix_email_tasks_status_scheduled_at", "ix_email_tasks_claim_token"
_HELD, _UNSENT = "claim_token IS NOT NULL", "status = 'failed' OR status = 'skipped'"


def upgrade() -> None:
    _index("ix_email_tasks_held", ["status", "claim_token"], _HELD)
    _index("ix_email_tasks_unsent", ["campaign_id", "status", "contact_id"], _UNSENT)
    for name in (_ALL_BY_STATUS, _BY_TOKEN):
        op.drop_index(name, "email_tasks")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "email_tasks", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
