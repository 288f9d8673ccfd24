"""How long a campaign will take under its limits, said before it starts and while it runs:
"Throttled: sending at 50/hour, 94 hours remaining".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from mailengine.core.wording import counted
from mailengine.domain.delivery.limits.limits import Settings
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.limits.warm_up import changes_at
from mailengine.models import WarmUpScope

_FOREVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The rate that holds now and how long the rest takes with all its steps."""

    rate: Rate
    remaining: timedelta

    def __str__(self) -> str:
        return f"Throttled: sending at {self.rate}, {_spoken(self.remaining)} remaining"


def forecast(
    settings: Settings, *, relay_ids: Sequence[int], sending_domain: str, messages: int, now: datetime
) -> Forecast | None:
    """None when nothing limits the campaign. Limits of provider groups are left out: who the recipients'
    providers are is known only when they are looked up."""
    first = _slowest(settings, relay_ids, sending_domain, now)
    if first is None or messages <= 0:
        return None
    moment, left = now, float(messages)
    while moment - now < _FOREVER:
        rate = _slowest(settings, relay_ids, sending_domain, moment)
        if rate is None:
            break
        change = _next_change(settings, moment)
        needed = timedelta(seconds=left / rate.per_second)
        if change is None or moment + needed <= change:
            moment += needed
            break
        left -= (change - moment).total_seconds() * rate.per_second
        moment = change
    return Forecast(first, moment - now)


def _slowest(
    settings: Settings, relay_ids: Sequence[int], sending_domain: str, moment: datetime
) -> Rate | None:
    rules = settings.rules_at(moment)
    shared = [*rules.tenant.values(), *rules.domains.get(sending_domain, {}).values()]
    per_relay = [list(rules.relays.get(relay, {}).values()) for relay in relay_ids]
    if per_relay and all(per_relay):  # a relay without limit takes what the others cannot
        slowest_of_each = [min(rates, key=lambda rate: rate.per_second) for rates in per_relay]
        if len(slowest_of_each) == 1:
            shared += slowest_of_each
    return min(shared, key=lambda rate: rate.per_second, default=None)


def _next_change(settings: Settings, moment: datetime) -> datetime | None:
    changes = (changes_at(WarmUpScope(row.scope), row.started_at, moment) for row in settings.warm_ups)
    return min((change for change in changes if change is not None), default=None)


def _spoken(span: timedelta) -> str:
    hours = ceil(span.total_seconds() / 3600)
    if hours <= 1:
        minutes = max(1, ceil(span.total_seconds() / 60))
        return counted(minutes, "minute", "minutes")
    return counted(hours, "hour", "hours")
