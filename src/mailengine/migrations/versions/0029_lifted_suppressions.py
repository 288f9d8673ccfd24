"""What an import took from the suppression list, so that taking the import back gives it back

Revision: 0029, after 0028
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, UTCDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_lifted",
        sa.Column("job_id", BigPK, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=320), nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_import_lifted_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_import_lifted_tenant_id")),
        sa.PrimaryKeyConstraint("job_id", "kind", "value", name=op.f("pk_import_lifted")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for statement in policy_statements("import_lifted"):
            op.execute(statement)
