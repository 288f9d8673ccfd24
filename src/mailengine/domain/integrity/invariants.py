"""Invariants of the whole installation. Each is a query that finds the rows that break it, so none is the rule.

They hold after every commit, whatever was killed when: a violation is a fault of the program, never of its use.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.db.unit import ReadTx

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Invariant:
    """`query` selects one column, the id of each offender."""

    name: str
    rule: str
    query: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, with a few of the offenders."""

    name: str
    rule: str
    examples: tuple[int, ...]


INVARIANTS = (
    Invariant(
        "totals",
        "a campaign's totals are the counts of its tasks",
        """
        SELECT t.campaign_id FROM campaign_totals t
        LEFT JOIN (
            SELECT campaign_id, count(*) AS tasks,
                sum(CASE status WHEN 'sent' THEN 1 ELSE 0 END) AS sent,
                sum(CASE status WHEN 'failed' THEN 1 ELSE 0 END) AS failed,
                sum(CASE status WHEN 'skipped' THEN 1 ELSE 0 END) AS skipped,
                sum(CASE status WHEN 'doubt' THEN 1 ELSE 0 END) AS doubt
            FROM email_tasks GROUP BY campaign_id
        ) c ON c.campaign_id = t.campaign_id
        WHERE t.tasks <> coalesce(c.tasks, 0) OR t.sent <> coalesce(c.sent, 0)
            OR t.failed <> coalesce(c.failed, 0) OR t.skipped <> coalesce(c.skipped, 0)
            OR t.doubt <> coalesce(c.doubt, 0)
        """,
    ),
    Invariant(
        "launched",
        "a campaign has totals and a snapshot once it was launched, and only then",
        """
        SELECT c.id FROM campaigns c LEFT JOIN campaign_totals t ON t.campaign_id = c.id
        WHERE (c.state IN ('draft', 'scheduled')) <> (t.campaign_id IS NULL)
            OR (c.state NOT IN ('draft', 'scheduled') AND (c.snapshot_id IS NULL OR c.launched_at IS NULL))
        """,
    ),
    Invariant(
        "scheduled",
        "a campaign that is scheduled has a time",
        "SELECT id FROM campaigns WHERE state = 'scheduled' AND scheduled_at IS NULL",
    ),
    Invariant(
        "finished",
        "a sent campaign has no task that waits",
        """
        SELECT DISTINCT c.id FROM campaigns c JOIN email_tasks t ON t.campaign_id = c.id
        WHERE c.state = 'sent' AND (t.status = 'queued' OR (t.status = 'claimed' AND t.claim_token IS NOT NULL))
        """,
    ),
    Invariant(
        "claims",
        "a task carries a claim exactly while it is claimed or in doubt",
        """
        SELECT id FROM email_tasks
        WHERE (status IN ('claimed', 'doubt')) <> (claim_token IS NOT NULL)
            OR (status = 'claimed') <> (lease_until IS NOT NULL)
        """,
    ),
    Invariant(
        "outcomes",
        "a task has an end exactly when it has an outcome, and the server's words when it was accepted",
        """
        SELECT id FROM email_tasks
        WHERE (status IN ('queued', 'claimed')) <> (finished_at IS NULL)
            OR (status = 'sent') <> (external_msg_id IS NOT NULL)
        """,
    ),
    Invariant(
        "dead_letters",
        "every failed task has a dead letter",
        """
        SELECT t.id FROM email_tasks t LEFT JOIN dead_letters d ON d.task_id = t.id
        WHERE t.status = 'failed' AND d.id IS NULL
        """,
    ),
    Invariant(
        "messages",
        "a transactional message carries a claim exactly while it is claimed, an end once it has an outcome, "
        "and no body once it was sent or skipped",
        """
        SELECT id FROM messages
        WHERE (status = 'claimed') <> (claim_token IS NOT NULL)
            OR (status = 'claimed') <> (lease_until IS NOT NULL)
            OR (status IN ('queued', 'claimed')) <> (finished_at IS NULL)
            OR (status IN ('sent', 'skipped') AND (text <> '' OR html <> ''))
        """,
    ),
    Invariant(
        "tenants",
        "a task belongs to the tenant of its campaign and of its contact",
        """
        SELECT t.id FROM email_tasks t
        JOIN campaigns c ON c.id = t.campaign_id JOIN contacts p ON p.id = t.contact_id
        WHERE t.tenant_id <> c.tenant_id OR t.tenant_id <> p.tenant_id
        """,
    ),
    Invariant(
        "members",
        "a list's members are contacts of its tenant",
        """
        SELECT m.contact_id FROM list_members m
        JOIN lists l ON l.id = m.list_id JOIN contacts p ON p.id = m.contact_id
        WHERE m.tenant_id <> l.tenant_id OR m.tenant_id <> p.tenant_id
        """,
    ),
    Invariant(
        "tags",
        "a contact's tags and sums are those of its tenant",
        """
        SELECT c.contact_id FROM contact_tags c
        JOIN tags t ON t.id = c.tag_id JOIN contacts p ON p.id = c.contact_id
        WHERE c.tenant_id <> t.tenant_id OR c.tenant_id <> p.tenant_id
        UNION ALL
        SELECT a.contact_id FROM contact_activity a JOIN contacts p ON p.id = a.contact_id
        WHERE a.tenant_id <> p.tenant_id
        """,
    ),
    Invariant(
        "events",
        "an event belongs to a task of the same tenant, campaign and contact",
        """
        SELECT e.id FROM email_events e LEFT JOIN email_tasks t ON t.id = e.task_id
        WHERE t.id IS NULL OR t.tenant_id <> e.tenant_id OR t.campaign_id <> e.campaign_id
            OR t.contact_id <> e.contact_id
        """,
    ),
)


# One statement for all: the name of the invariant, and the id of one that breaks it.
QUERY = " UNION ALL ".join(
    f"SELECT * FROM (SELECT '{each.name}', broken.* FROM ({each.query}) AS broken LIMIT {_EXAMPLES}) AS {each.name}"  # noqa: S608  # constants only
    for each in INVARIANTS
)


async def violations(tx: ReadTx, _instance: InstanceScope) -> list[Violation]:
    """Every broken invariant; empty is the only good answer."""
    return grouped(tuple(row) for row in await tx.execute(sa.text(QUERY)))


def grouped(rows: Iterable[tuple[str, int]]) -> list[Violation]:
    """The violations that the answer to `QUERY` tells of."""
    offenders: dict[str, list[int]] = {}
    for name, offender in rows:
        offenders.setdefault(name, []).append(int(offender))
    return [
        Violation(each.name, each.rule, tuple(offenders[each.name]))
        for each in INVARIANTS
        if each.name in offenders
    ]
