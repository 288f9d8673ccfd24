"""first schema

Revision: 0001, after None
"""

import sqlalchemy as sa
from alembic import op

from mailengine.db.tenancy import policy_statements
from mailengine.db.types import BigPK, JSONType, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OWNED = (
    "api_keys",
    "attributes",
    "audit_log",
    "blocks",
    "buckets",
    "campaign_totals",
    "campaigns",
    "contacts",
    "dead_letters",
    "dkim_keys",
    "email_events",
    "email_tasks",
    "jobs",
    "limits",
    "list_members",
    "lists",
    "memberships",
    "quiet_hours",
    "relays",
    "reputations",
    "sending_domains",
    "snapshots",
    "suppressions",
    "template_versions",
    "templates",
    "warm_ups",
    "web_sessions",
)


def upgrade() -> None:
    op.create_table(
        "kill_switches",
        sa.Column("key", BigPK, autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("set_by", sa.String(length=100), nullable=False),
        sa.Column("set_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_kill_switches")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("postal_address", sa.String(length=500), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("slug", name=op.f("uq_tenants_slug")),
    )
    op.create_table(
        "users",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_key", name=op.f("uq_users_email_key")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'admin', 'editor', 'viewer')", name=op.f("ck_api_keys_role")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_api_keys_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_api_keys_tenant_id_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_keys_token_hash")),
    )
    op.create_table(
        "attributes",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_attributes_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_attributes")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("resource", sa.String(length=50), nullable=False),
        sa.Column("resource_id", BigPK, nullable=True),
        sa.Column("details", JSONType, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_log_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(
            "ix_audit_log_complaints",
            ["tenant_id", "at"],
            unique=False,
            sqlite_where=sa.text("action = 'contact.complained'"),
            postgresql_where=sa.text("action = 'contact.complained'"),
        )
        batch_op.create_index(batch_op.f("ix_audit_log_tenant_id_at"), ["tenant_id", "at"], unique=False)

    op.create_table(
        "blocks",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_blocks_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_blocks_tenant_id_name")),
    )
    op.create_table(
        "buckets",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("filled_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_buckets_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_buckets")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=False),
        sa.Column("last_name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attributes", JSONType, nullable=False),
        sa.Column("consent_source", sa.String(length=200), nullable=False),
        sa.Column("consent_at", UTCDateTime(), nullable=True),
        sa.Column("consent_ip", sa.String(length=45), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('subscribed', 'unconfirmed', 'unsubscribed', 'bounced', 'complained', 'inactive', 'suppressed')",
            name=op.f("ck_contacts_state"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_contacts_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("tenant_id", "email_key", name=op.f("uq_contacts_tenant_id_email_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "email_events",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("task_id", BigPK, nullable=False),
        sa.Column("campaign_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("link", sa.Integer(), nullable=True),
        sa.Column("ip", sa.String(length=45), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=False),
        sa.CheckConstraint(
            "kind IN ('open', 'click', 'unsubscribe', 'resubscribe')", name=op.f("ck_email_events_kind")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_email_events_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_events")),
        sa.UniqueConstraint("uid", name=op.f("uq_email_events_uid")),
    )
    with op.batch_alter_table("email_events", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_email_events_campaign_id_contact_id"), ["campaign_id", "contact_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_email_events_contact_id_at"), ["contact_id", "at"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("subject_id", BigPK, nullable=True),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("done", BigPK, nullable=False),
        sa.Column("total", BigPK, nullable=True),
        sa.Column("error", sa.String(length=1000), nullable=False),
        sa.Column("result", JSONType, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('import', 'expand')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_jobs_state")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_jobs_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_state_kind"), ["state", "kind"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_jobs_tenant_id_created_at"), ["tenant_id", "created_at"], unique=False
        )

    op.create_table(
        "limits",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("target", sa.String(length=253), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("period IN ('second', 'minute', 'hour', 'day')", name=op.f("ck_limits_period")),
        sa.CheckConstraint("scope IN ('tenant', 'relay', 'provider')", name=op.f("ck_limits_scope")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_limits_amount")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_limits_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limits")),
        sa.UniqueConstraint(
            "tenant_id", "scope", "target", "period", name=op.f("uq_limits_tenant_id_scope_target_period")
        ),
    )
    op.create_table(
        "lists",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_lists_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lists")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_lists_tenant_id_name")),
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("user_id", BigPK, nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.CheckConstraint(
            "role IN ('owner', 'admin', 'editor', 'viewer')", name=op.f("ck_memberships_role")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_memberships_tenant_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id")),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_table(
        "quiet_hours",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("ends", sa.Integer(), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_quiet_hours_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_quiet_hours")),
    )
    op.create_table(
        "relays",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("tls", sa.String(length=20), nullable=False),
        sa.Column("username", sa.String(length=320), nullable=False),
        sa.Column("password_sealed", sa.Text(), nullable=False),
        sa.Column("helo", sa.String(length=253), nullable=False),
        sa.Column("source_address", sa.String(length=45), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('smtp', 'direct')", name=op.f("ck_relays_kind")),
        sa.CheckConstraint("tls IN ('none', 'starttls', 'tls')", name=op.f("ck_relays_tls")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_relays_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relays")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_relays_tenant_id_name")),
    )
    op.create_table(
        "reputations",
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("standing", sa.String(length=10), nullable=False),
        sa.Column("sent", BigPK, nullable=False),
        sa.Column("bounces", BigPK, nullable=False),
        sa.Column("complaints", BigPK, nullable=False),
        sa.Column("evaluated_at", UTCDateTime(), nullable=False),
        sa.Column("held_at", UTCDateTime(), nullable=True),
        sa.Column("sent_before", BigPK, nullable=False),
        sa.CheckConstraint("standing IN ('ok', 'risky', 'bad')", name=op.f("ck_reputations_standing")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_reputations_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_reputations")),
    )
    op.create_table(
        "sending_domains",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("domain", sa.String(length=253), nullable=False),
        sa.Column("verified_at", UTCDateTime(), nullable=True),
        sa.Column("checked_at", UTCDateTime(), nullable=True),
        sa.Column("checks", JSONType, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_sending_domains_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_domains")),
        sa.UniqueConstraint("tenant_id", "domain", name=op.f("uq_sending_domains_tenant_id_domain")),
    )
    op.create_table(
        "suppressions",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=320), nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('address', 'domain', 'hash')", name=op.f("ck_suppressions_kind")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_suppressions_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint("tenant_id", "kind", "value", name=op.f("uq_suppressions_tenant_id_kind_value")),
    )
    op.create_table(
        "templates",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("category", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_templates_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
    )
    with op.batch_alter_table("templates", schema=None) as batch_op:
        batch_op.create_index(
            "uq_templates_tenant_id_name",
            ["tenant_id", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "warm_ups",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("scope", sa.String(length=20), nullable=False),
        sa.Column("target", sa.String(length=253), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint("scope IN ('tenant', 'relay', 'domain')", name=op.f("ck_warm_ups_scope")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_warm_ups_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_warm_ups")),
        sa.UniqueConstraint("tenant_id", "scope", "target", name=op.f("uq_warm_ups_tenant_id_scope_target")),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_web_sessions_tenant_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_web_sessions_user_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_sessions")),
    )
    with op.batch_alter_table("web_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_web_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "campaigns",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("template_id", BigPK, nullable=False),
        sa.Column("subject", sa.String(length=1000), nullable=False),
        sa.Column("from_name", sa.String(length=200), nullable=False),
        sa.Column("from_email", sa.String(length=320), nullable=False),
        sa.Column("reply_to", sa.String(length=320), nullable=False),
        sa.Column("list_ids", JSONType, nullable=False),
        sa.Column("relay_id", BigPK, nullable=True),
        sa.Column("track_opens", sa.Boolean(), nullable=False),
        sa.Column("track_clicks", sa.Boolean(), nullable=False),
        sa.Column("snapshot_id", BigPK, nullable=True),
        sa.Column("expand_cursor", BigPK, nullable=False),
        sa.Column("expanded_at", UTCDateTime(), nullable=True),
        sa.Column("launched_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("deleted_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('draft', 'sending', 'paused', 'sent', 'cancelled')", name=op.f("ck_campaigns_state")
        ),
        sa.ForeignKeyConstraint(["relay_id"], ["relays.id"], name=op.f("fk_campaigns_relay_id")),
        sa.ForeignKeyConstraint(["template_id"], ["templates.id"], name=op.f("fk_campaigns_template_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_campaigns_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("campaigns", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_campaigns_finished_at"), ["finished_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_campaigns_tenant_id_state"), ["tenant_id", "state"], unique=False
        )
        batch_op.create_index(
            "uq_campaigns_tenant_id_name",
            ["tenant_id", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "dkim_keys",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("domain_id", BigPK, nullable=False),
        sa.Column("selector", sa.String(length=63), nullable=False),
        sa.Column("algorithm", sa.String(length=20), nullable=False),
        sa.Column("private_sealed", sa.Text(), nullable=False),
        sa.Column("public_record", sa.Text(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["sending_domains.id"], name=op.f("fk_dkim_keys_domain_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_dkim_keys_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dkim_keys")),
        sa.UniqueConstraint("domain_id", "selector", name=op.f("uq_dkim_keys_domain_id_selector")),
    )
    op.create_table(
        "list_members",
        sa.Column("list_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("joined_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('subscribed', 'unconfirmed', 'unsubscribed')", name=op.f("ck_list_members_state")
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_list_members_contact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["list_id"], ["lists.id"], name=op.f("fk_list_members_list_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_list_members_tenant_id")),
        sa.PrimaryKeyConstraint("list_id", "contact_id", name=op.f("pk_list_members")),
    )
    with op.batch_alter_table("list_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_list_members_contact_id"), ["contact_id"], unique=False)

    op.create_table(
        "template_versions",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("template_id", BigPK, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_is_own", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["templates.id"],
            name=op.f("fk_template_versions_template_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_template_versions_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_versions")),
        sa.UniqueConstraint("template_id", "version", name=op.f("uq_template_versions_template_id_version")),
    )
    op.create_table(
        "campaign_totals",
        sa.Column("campaign_id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("tasks", BigPK, nullable=False),
        sa.Column("sent", BigPK, nullable=False),
        sa.Column("failed", BigPK, nullable=False),
        sa.Column("skipped", BigPK, nullable=False),
        sa.Column("doubt", BigPK, nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_totals_campaign_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_campaign_totals_tenant_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_totals")),
    )
    op.create_table(
        "email_tasks",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("campaign_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("scheduled_at", UTCDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("locked_by", sa.String(length=100), nullable=True),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", UTCDateTime(), nullable=True),
        sa.Column("external_msg_id", sa.String(length=200), nullable=True),
        sa.Column("last_reply", sa.String(length=1000), nullable=False),
        sa.Column("first_tried_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'claimed', 'sent', 'failed', 'skipped', 'doubt')",
            name=op.f("ck_email_tasks_status"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_email_tasks_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_email_tasks_contact_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_email_tasks_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_tasks")),
        sa.UniqueConstraint("campaign_id", "contact_id", name=op.f("uq_email_tasks_campaign_id_contact_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("email_tasks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_email_tasks_claim",
            ["campaign_id", "status", "scheduled_at", "id"],
            unique=False,
            sqlite_where=sa.text("status = 'queued'"),
            postgresql_where=sa.text("status = 'queued'"),
        )
        batch_op.create_index(
            "ix_email_tasks_claim_token",
            ["claim_token"],
            unique=False,
            sqlite_where=sa.text("claim_token IS NOT NULL"),
            postgresql_where=sa.text("claim_token IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_email_tasks_contact_id"), ["contact_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_email_tasks_status_scheduled_at"), ["status", "scheduled_at"], unique=False
        )

    op.create_table(
        "snapshots",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("campaign_id", BigPK, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("from_name", sa.String(length=200), nullable=False),
        sa.Column("from_email", sa.String(length=320), nullable=False),
        sa.Column("reply_to", sa.String(length=320), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("links", JSONType, nullable=False),
        sa.Column("settings", JSONType, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_snapshots_campaign_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_snapshots_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    with op.batch_alter_table("snapshots", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snapshots_campaign_id"), ["campaign_id"], unique=False)

    op.create_table(
        "dead_letters",
        sa.Column("id", BigPK, nullable=False),
        sa.Column("tenant_id", BigPK, nullable=False),
        sa.Column("task_id", BigPK, nullable=False),
        sa.Column("campaign_id", BigPK, nullable=False),
        sa.Column("contact_id", BigPK, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("cause", sa.String(length=30), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("enhanced", sa.String(length=20), nullable=False),
        sa.Column("reply", sa.String(length=1000), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_dead_letters_campaign_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_dead_letters_contact_id")),
        sa.ForeignKeyConstraint(["task_id"], ["email_tasks.id"], name=op.f("fk_dead_letters_task_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_dead_letters_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    with op.batch_alter_table("dead_letters", schema=None) as batch_op:
        batch_op.create_index(
            "ix_dead_letters_bounces",
            ["tenant_id", "at"],
            unique=False,
            sqlite_where=sa.text("cause = 'recipient'"),
            postgresql_where=sa.text("cause = 'recipient'"),
        )
        batch_op.create_index(batch_op.f("ix_dead_letters_campaign_id"), ["campaign_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_dead_letters_task_id"), ["task_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_dead_letters_tenant_id_at"), ["tenant_id", "at"], unique=False)

    if op.get_bind().dialect.name == "postgresql":
        for table in OWNED:
            for statement in policy_statements(table):
                op.execute(statement)
