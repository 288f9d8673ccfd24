"""After a restore nothing may be sent again silently: the ledger ends at the backup, the mail did not.

Whatever was open at the backup may have left after it. So every message that waited or was claimed is in doubt, with
the time of the backup as the reason; a campaign that was still finding its recipients is paused, and one that was
scheduled is a draft again; and the kill switch of the installation is on, which also holds what the old rows know
nothing of (automations). A person lets go of each.

Plain SQL on columns that the first schema has: a restored database may be older than this code, and stays so until
the daemon migrates it.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope
from mailengine.db.types import UTCDateTime
from mailengine.db.unit import Database, WriteTx

TOKEN = "restored-"  # noqa: S105  # the claim token of what is in doubt for this reason begins so
_REASON = "restored from a backup of {taken_at}: it may have left after that"
_SWITCH = "restored from a backup of {taken_at}; look at what is in doubt, then turn this off"

_DOUBT = """
UPDATE email_tasks SET status = 'doubt', claim_token = :token, locked_by = NULL, lease_until = NULL,
    finished_at = :now, last_reply = :reason
WHERE status = 'claimed' OR (status = 'queued' AND campaign_id IN
    (SELECT id FROM campaigns WHERE state <> 'cancelled'))
"""
_TOTALS = """
UPDATE campaign_totals SET doubt =
    (SELECT count(*) FROM email_tasks t WHERE t.campaign_id = campaign_totals.campaign_id AND t.status = 'doubt')
"""
_MESSAGES = "SELECT count(*) FROM messages WHERE status IN ('queued', 'claimed')"
_PAUSE = "UPDATE campaigns SET state = 'paused' WHERE state = 'sending' AND expanded_at IS NULL"
_UNSCHEDULE = "UPDATE campaigns SET state = 'draft' WHERE state = 'scheduled'"
_LEASES = "DELETE FROM leases"
_OFF = "DELETE FROM kill_switches WHERE key = 0"
_ON = "INSERT INTO kill_switches (key, reason, set_by, set_at) VALUES (0, :reason, 'restore', :now)"
_HELD = """
SELECT n.slug, c.name, c.state, c.expanded_at IS NULL AS growing,
    (SELECT count(*) FROM email_tasks t WHERE t.campaign_id = c.id AND t.claim_token = :token) AS in_doubt
FROM campaigns c JOIN tenants n ON n.id = c.tenant_id
WHERE c.state NOT IN ('draft', 'scheduled') AND (c.expanded_at IS NULL OR EXISTS
    (SELECT 1 FROM email_tasks t WHERE t.campaign_id = c.id AND t.claim_token = :token))
ORDER BY n.slug, c.name
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A campaign that was open at the backup; `growing`: not all of its recipients had been found."""

    tenant: str
    campaign: str
    in_doubt: int
    growing: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """What waits for a person's word; `messages` are transactional ones."""

    campaigns: list[Held]
    messages: int


async def waiting_messages(tx: WriteTx) -> int:
    """Transactional messages that were open: they are sent at least once, so again, when the switch is off."""
    connection = await tx.connection()
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table("messages")):
        return 0  # an older schema
    return int(await tx.scalar(sa.text(_MESSAGES)) or 0)


async def hold(url: str, settings: DatabaseSettings, *, taken_at: datetime, now: datetime) -> Holding:
    """Put in doubt, pause and switch off; returns what a person must look at."""
    db, instance = Database(url, settings), InstanceScope("restore")
    try:
        async with db.write(instance, durable=True) as tx:
            campaigns = await _hold(tx, taken_at.strftime("%Y-%m-%d %H:%M UTC"), now)
            return Holding(campaigns, await waiting_messages(tx))
    finally:
        await db.close()


async def _hold(tx: WriteTx, taken_at: str, now: datetime) -> list[Held]:
    token = f"{TOKEN}{now:%Y%m%d%H%M%S}"
    moment = sa.bindparam("now", type_=UTCDateTime())
    stamped = {"token": token, "now": now, "reason": _REASON.format(taken_at=taken_at)}
    await tx.execute(sa.text(_DOUBT).bindparams(moment), stamped)
    await tx.execute(sa.text(_TOTALS))
    found = await tx.execute(sa.text(_HELD), {"token": token})
    held = [Held(row.slug, row.name, int(row.in_doubt), bool(row.growing)) for row in found]
    for statement in (_PAUSE, _UNSCHEDULE, _LEASES, _OFF):
        await tx.execute(sa.text(statement))
    await tx.execute(
        sa.text(_ON).bindparams(moment), {"now": now, "reason": _SWITCH.format(taken_at=taken_at)}
    )
    return held
