"""How fast a campaign may go: the forecast that a person sees before it starts and while it runs (P5-06).

It counts what the buckets hold now, so that what leaves at once is not called throttled, and the quiet hours, in
which nothing leaves.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import inf

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.limits.forecast import Forecast, forecast
from mailengine.domain.delivery.limits.limits import Rules, read_settings
from mailengine.domain.delivery.limits.quiet_hours import get_quiet_hours
from mailengine.domain.delivery.limits.rates import Level, Rate
from mailengine.mail.address import parse_address
from mailengine.models import Campaign, Relay


async def throttle(
    tx: ReadTx, scope: Scope, campaign: Campaign, *, messages: int, now: datetime
) -> Forecast | None:
    """How long `messages` more of the campaign take under the tenant's limits; None when nothing slows them."""
    settings = await read_settings(tx, scope)
    if messages <= 0 or not (settings.limits or settings.warm_ups):
        return None
    relay_ids = await _relay_ids(tx, scope, campaign)
    domain = parse_address(campaign.from_email).domain
    at_once = await _at_once(tx, scope, settings.rules_at(now), relay_ids, domain, now)
    if messages <= at_once:
        return None
    left = messages - int(at_once)
    quiet = await get_quiet_hours(tx, scope)
    return forecast(settings, quiet, relay_ids=relay_ids, sending_domain=domain, messages=left, now=now)


async def _relay_ids(tx: ReadTx, scope: Scope, campaign: Campaign) -> Sequence[int]:
    """The relays that may carry the campaign, as the worker chooses them."""
    query = sa.select(col(Relay.id)).where(col(Relay.tenant_id) == scope.tenant_id, col(Relay.enabled))
    if campaign.relay_id is not None:
        query = query.where(col(Relay.id) == campaign.relay_id)
    return [found for found in await tx.scalars(query) if found is not None]


async def _at_once(
    tx: ReadTx, scope: Scope, rules: Rules, relay_ids: Sequence[int], domain: str, now: datetime
) -> float:
    """How many messages the buckets let through now."""
    shared = {**rules.tenant, **rules.domains.get(domain, {})}
    per_relay = [rules.relays.get(relay, {}) for relay in relay_ids]
    rates = {name: rate for part in (shared, *per_relay) for name, rate in part.items()}
    levels = await buckets.levels(tx, scope, rates, now=now)
    return min(_least(shared, levels), sum(_least(part, levels) for part in per_relay) if per_relay else inf)


def _least(rates: Mapping[str, Rate], levels: Mapping[str, Level]) -> float:
    return min((levels[name].available() for name in rates), default=inf)
