"""The health of relays, as workers find it: the last trouble of each is stored until it takes a message again.

A relay that is down, or does not let us in, is the operator's affair: nobody's message is given up for it, and every
face says what the mail waits for. Lanes only note; it is written here, at most once a pause.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import Database, ReadTx, WriteTx
from mailengine.domain.delivery.lane import Lane
from mailengine.domain.delivery.sources import LoadedRelay
from mailengine.models import Relay

TELL_SECONDS = 1.0  # between two looks at the lanes
_MAX_WORDS = 500
# Workers try a relay in trouble about once a minute as long as anything waits for it.
_STANDS = timedelta(minutes=5)


async def tell(
    db: Database, instance: InstanceScope, lanes: Iterable[tuple[LoadedRelay, Lane]], *, now: datetime
) -> None:
    """Write what lanes have met since they were last asked."""
    news = [(relay, lane, lane.news) for relay, lane in lanes if lane.news is not None]
    if not news:
        return
    async with db.read(instance) as tx:
        in_trouble = set(await tx.scalars(sa.select(col(Relay.id)).where(col(Relay.trouble_at).is_not(None))))
    for relay, lane, words in news:
        if words or relay.relay_id in in_trouble:
            scope = Scope(relay.tenant_id, instance.actor)
            async with db.write(scope) as tx:
                await note(tx, scope, relay_id=relay.relay_id, words=words or "", now=now)
        if lane.news == words:
            lane.news = None


async def note(tx: WriteTx, scope: Scope, *, relay_id: int, words: str, now: datetime) -> None:
    """A relay's trouble in its own words or ours; none when it took a message."""
    await tx.execute(
        sa.update(Relay)
        .where(tenant_of(Relay) == scope.tenant_id, col(Relay.id) == relay_id)
        .values(trouble=words[:_MAX_WORDS].replace("\x00", ""), trouble_at=now if words else None)
    )


async def waits_for(tx: ReadTx, scope: Scope, *, relay_id: int | None, now: datetime) -> list[str]:
    """What is said of a campaign's relays (the one it names, else the tenant's) when none of them takes mail now."""
    query = owned(Relay, scope).where(col(Relay.enabled))
    if relay_id is not None:
        query = query.where(col(Relay.id) == relay_id)
    found = (await tx.scalars(query.order_by(col(Relay.name)))).all()
    if any(relay.trouble_at is None or now - relay.trouble_at > _STANDS for relay in found):
        return []
    return [f"the relay {relay.name} is in trouble and tried again: {relay.trouble}" for relay in found]
