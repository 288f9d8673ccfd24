"""What imports remember: how to take one back, saved mappings; jobs that do that and that export

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, JSONType, UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_mappings",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("mapping", JSONType, nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_import_mappings_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_import_mappings")),
    )
    op.create_table(
        "import_batches",
        sa.Column("job_id", BigPK, nullable=False),
        sa.Column("number", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("created", JSONType, nullable=False),
        sa.Column("joined", JSONType, nullable=False),
        sa.Column("rejoined", JSONType, nullable=False),
        sa.Column("tagged", JSONType, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_import_batches_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_import_batches_tenant_id")),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_import_batches")),
    )
    op.create_table(
        "import_changes",
        sa.Column("job_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("change", JSONType, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_import_changes_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_import_changes_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_import_changes_tenant_id")),
        sa.PrimaryKeyConstraint("job_id", "contact_id", name=op.f("pk_import_changes")),
    )
    with op.batch_alter_table("import_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_import_changes_contact_id"), ["contact_id"], unique=False)

    with op.batch_alter_table("jobs") as batch_op:
        batch_op.drop_constraint(op.f("ck_jobs_kind"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_jobs_kind"), "kind IN ('import', 'expand', 'undo-import', 'export', 'tenant-export')"
        )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("import_mappings", "import_batches", "import_changes"):
            for statement in policy_statements(table):
                op.execute(statement)
