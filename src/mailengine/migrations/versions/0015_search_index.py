"""The index of contacts for searching, and the queue of those that it does not show as they are now.

No table of the models: on SQLite it is a virtual one (FTS5), on PostgreSQL the trigrams' numbers with a GIN index.
Triggers fill the queue, so whoever writes contacts need not know; `domain/contacts/search/index.py` empties it.
A later revision that rebuilds `contacts` on SQLite (`batch_alter_table`) loses its triggers and makes them again.

Revision: 0015, after 0014
"""

from alembic import op

from mailengine.db.tenancy import ALL_TENANTS, SETTING, policy_statements

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_QUEUE_ALL = """
INSERT INTO search_queue (tenant_id, contact_id) SELECT tenant_id, id FROM contacts WHERE erased_at IS NULL
"""
_SQLITE = (
    """
    CREATE VIRTUAL TABLE contact_search
    USING fts5(words, tokenize = 'trigram case_sensitive 1', detail = none, columnsize = 0)
    """,
    """
    CREATE TABLE search_queue (
        tenant_id BIGINT NOT NULL, contact_id BIGINT NOT NULL, PRIMARY KEY (tenant_id, contact_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER search_added AFTER INSERT ON contacts BEGIN
        INSERT INTO search_queue (tenant_id, contact_id) VALUES (new.tenant_id, new.id) ON CONFLICT DO NOTHING;
    END
    """,
    """
    CREATE TRIGGER search_changed AFTER UPDATE OF email, first_name, last_name, attributes, erased_at ON contacts
    WHEN new.email IS NOT old.email OR new.first_name IS NOT old.first_name OR new.last_name IS NOT old.last_name
         OR new.attributes IS NOT old.attributes OR new.erased_at IS NOT old.erased_at
    BEGIN
        INSERT INTO search_queue (tenant_id, contact_id) VALUES (new.tenant_id, new.id) ON CONFLICT DO NOTHING;
    END
    """,
    """
    CREATE TRIGGER search_removed AFTER DELETE ON contacts BEGIN
        INSERT INTO search_queue (tenant_id, contact_id) VALUES (old.tenant_id, old.id) ON CONFLICT DO NOTHING;
    END
    """,
)

# A row of the queue that is there already is written all the same: whoever empties the queue passes by rows that a
# transaction under way has written, and so never drops one whose contact it could not see yet.
_POSTGRES = (
    "CREATE TABLE contact_search (contact_id BIGINT PRIMARY KEY, grams INTEGER[] NOT NULL)",
    "CREATE INDEX ix_contact_search_grams ON contact_search USING gin (grams)",
    """
    CREATE TABLE search_queue (
        tenant_id BIGINT NOT NULL, contact_id BIGINT NOT NULL, PRIMARY KEY (tenant_id, contact_id)
    )
    """,
    *policy_statements("search_queue"),
    """
    CREATE FUNCTION search_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO search_queue (tenant_id, contact_id) SELECT tenant_id, id FROM added ORDER BY 1, 2
        ON CONFLICT (tenant_id, contact_id) DO UPDATE SET contact_id = excluded.contact_id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION search_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO search_queue (tenant_id, contact_id)
        SELECT n.tenant_id, n.id FROM changed AS n JOIN former AS o ON o.id = n.id
        WHERE (n.email, n.first_name, n.last_name, n.attributes, n.erased_at)
              IS DISTINCT FROM (o.email, o.first_name, o.last_name, o.attributes, o.erased_at)
        ORDER BY 1, 2
        ON CONFLICT (tenant_id, contact_id) DO UPDATE SET contact_id = excluded.contact_id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION search_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO search_queue (tenant_id, contact_id) SELECT tenant_id, id FROM removed ORDER BY 1, 2
        ON CONFLICT (tenant_id, contact_id) DO UPDATE SET contact_id = excluded.contact_id;
        DELETE FROM contact_search WHERE contact_id IN (SELECT id FROM removed);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER search_added AFTER INSERT ON contacts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION search_added()
    """,
    """
    CREATE TRIGGER search_changed AFTER UPDATE ON contacts REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION search_changed()
    """,
    """
    CREATE TRIGGER search_removed AFTER DELETE ON contacts REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION search_removed()
    """,
)


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    for statement in _POSTGRES if postgres else _SQLITE:
        op.execute(statement)
    if postgres:
        op.execute(f"SELECT set_config('{SETTING}', '{ALL_TENANTS}', true)")
    op.execute(_QUEUE_ALL)
