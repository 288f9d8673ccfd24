"""How long a campaign will take under its limits, said before it starts and while it runs:
"Throttled: sending at 50/hour, 94 hours remaining".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from mailengine.core.wording import counted
from mailengine.domain.delivery.limits.limits import Settings
from mailengine.domain.delivery.limits.quiet_hours import next_rest, open_seconds_a_day, quiet_until
from mailengine.domain.delivery.limits.rates import Rate, slowest, together
from mailengine.domain.delivery.limits.warm_up import changes_at
from mailengine.models import QuietHours, WarmUpScope

_DAY = timedelta(days=1)
_FOREVER = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The rate that holds now and how long the rest takes with all its steps and rests."""

    rate: Rate
    remaining: timedelta

    def __str__(self) -> str:
        return f"Throttled: sending at {self.rate}, {_spoken(self.remaining)} remaining"


def forecast(
    settings: Settings,
    quiet: QuietHours | None,
    *,
    relay_ids: Sequence[int],
    sending_domain: str,
    messages: int,
    now: datetime,
) -> Forecast | None:
    """None when nothing limits the campaign. Limits of provider groups are left out: who the recipients'
    providers are is known only when they are looked up."""
    first = _rate(settings, relay_ids, sending_domain, now)
    if first is None or messages <= 0:
        return None
    moment, left = now, float(messages)
    while moment - now < _FOREVER:
        if quiet is not None and (rested := quiet_until(quiet, moment)) is not None:
            moment = rested
            continue
        rate = _rate(settings, relay_ids, sending_domain, moment)
        if rate is None:
            break
        change = _next_step(settings, moment)
        if quiet is not None:
            if change is None:  # all days are alike from here on: only the last is walked through
                a_day = rate.per_second * open_seconds_a_day(quiet)
                days = min(max(0, ceil(left / a_day - 1e-9) - 1), _FOREVER // _DAY)
                moment, left = moment + days * _DAY, left - days * a_day
            rest = next_rest(quiet, moment)
            change = rest if change is None else min(change, rest)
        needed = timedelta(seconds=left / rate.per_second)
        if change is None or moment + needed <= change:
            moment += needed
            break
        left -= (change - moment).total_seconds() * rate.per_second
        moment = change
    return Forecast(first, moment - now)


def _rate(settings: Settings, relay_ids: Sequence[int], sending_domain: str, moment: datetime) -> Rate | None:
    rules = settings.rules_at(moment)
    shared = [*rules.tenant.values(), *rules.domains.get(sending_domain, {}).values()]
    of_each = [slowest(rules.relays.get(relay, {}).values()) for relay in relay_ids]
    limited = [rate for rate in of_each if rate is not None]
    if limited and len(limited) == len(of_each):  # a relay without limit takes what the others cannot
        shared.append(together(limited))
    return slowest(shared)


def _next_step(settings: Settings, moment: datetime) -> datetime | None:
    changes = (changes_at(WarmUpScope(row.scope), row.started_at, moment) for row in settings.warm_ups)
    return min((change for change in changes if change is not None), default=None)


def _spoken(span: timedelta) -> str:
    hours = ceil(span.total_seconds() / 3600)
    if hours <= 1:
        minutes = max(1, ceil(span.total_seconds() / 60))
        return counted(minutes, "minute", "minutes")
    return counted(hours, "hour", "hours")
