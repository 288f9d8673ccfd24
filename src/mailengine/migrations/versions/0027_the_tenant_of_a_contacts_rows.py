"""What belongs to a contact asks for its tenant through the contact alone

PostgreSQL looked the tenant up four times for each contact of an import. Members of lists lose their row id on SQLite,
which had kept a tree more for it.

Revision: 0027, after 0026
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_WITHOUT_ROWID = {"sqlite_with_rowid": False}


def upgrade() -> None:
    for table, kept in (("list_members", _WITHOUT_ROWID), ("contact_tags", _WITHOUT_ROWID), ("consents", {})):
        with op.batch_alter_table(table, table_kwargs=kept) as batch_op:
            batch_op.drop_constraint(op.f(f"fk_{table}_tenant_id"), type_="foreignkey")
