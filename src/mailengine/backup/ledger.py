"""A database that a restore replaces knows what left after the backup: so far as it says so, nothing is in doubt.

What it has as sent was sent; what still waits in it never left. Everything else stays in doubt, and all of it does
where the replaced file cannot be read.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from mailengine.backup.hold import TOKEN, Holding

_SAME = """
later.email_tasks o WHERE o.id = email_tasks.id AND o.campaign_id = email_tasks.campaign_id
    AND o.contact_id = email_tasks.contact_id AND o.email = email_tasks.email
"""
_WAITS = f"""
UPDATE email_tasks SET status = 'queued', claim_token = NULL, finished_at = NULL, last_reply = ''
WHERE claim_token LIKE '{TOKEN}%' AND EXISTS (SELECT 1 FROM {_SAME} AND o.status = 'queued')
"""  # noqa: S608  # constants only
_SENT = f"""
UPDATE email_tasks SET status = 'sent', claim_token = NULL,
    (external_msg_id, last_reply, attempts, first_tried_at, finished_at) =
        (SELECT o.external_msg_id, o.last_reply, o.attempts, o.first_tried_at, o.finished_at FROM {_SAME})
WHERE claim_token LIKE '{TOKEN}%' AND EXISTS (SELECT 1 FROM {_SAME} AND o.status = 'sent')
"""  # noqa: S608
_TOTALS = """
UPDATE campaign_totals SET (sent, doubt) = (
    SELECT coalesce(sum(t.status = 'sent'), 0), coalesce(sum(t.status = 'doubt'), 0) FROM email_tasks t
    WHERE t.campaign_id = campaign_totals.campaign_id)
"""
_LEFT = f"""
SELECT n.slug, c.name, count(*) FROM email_tasks t JOIN campaigns c ON c.id = t.campaign_id
JOIN tenants n ON n.id = c.tenant_id WHERE t.claim_token LIKE '{TOKEN}%' GROUP BY n.slug, c.name
"""  # noqa: S608


def settle_by(restored: Path, later: Path, held: Holding) -> Holding:
    """Take up what the replaced file knows; returns what is still to be looked at. Blocking."""
    with closing(
        sqlite3.connect(f"file:{quote(str(restored))}?mode=rw", uri=True, isolation_level=None)
    ) as ours:
        try:
            ours.execute("ATTACH ? AS later", (f"file:{quote(str(later))}?mode=rw",))
            ours.execute("SELECT external_msg_id FROM later.email_tasks LIMIT 1").fetchone()
        except sqlite3.Error:
            return held
        ours.execute("BEGIN IMMEDIATE")
        for statement in (_WAITS, _SENT, _TOTALS):
            ours.execute(statement)
        left = {(slug, name): int(count) for slug, name, count in ours.execute(_LEFT)}
        ours.execute("COMMIT")
    remaining = [replace(each, in_doubt=left.get((each.tenant, each.campaign), 0)) for each in held.campaigns]
    return replace(held, campaigns=[each for each in remaining if each.in_doubt or each.growing])
