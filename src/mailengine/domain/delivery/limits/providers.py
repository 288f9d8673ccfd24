"""Limits a provider group: how many of a claim may go to each, and until when the others are held.

A group is the organisation behind the recipients' MX (google, microsoft, …) or a domain of recipients. The DNS is
asked only where a limit names a group; whose hosts cannot be found counts under the domain alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.delivery.claim import ClaimedTask
from mailengine.domain.delivery.limits import buckets
from mailengine.domain.delivery.limits.rates import Rate
from mailengine.domain.delivery.mx import MailHosts, MxResolver, provider_group


@dataclass(frozen=True, slots=True)
class HeldBack:
    due: datetime
    reason: str


class Providers:
    """One per worker."""

    def __init__(self, resolver: MxResolver) -> None:
        self._resolver = resolver

    async def hold_back(
        self,
        db: Database,
        scope: Scope,
        limits: Mapping[str, Mapping[str, Rate]],
        tasks: Sequence[ClaimedTask],
        *,
        now: datetime,
    ) -> dict[int, HeldBack]:
        """The tasks that must wait, by id; those of one group are spread over the time that its limit takes."""
        if not limits:
            return {}
        return await hold_back(db, scope, limits, await self._grouped(limits, tasks), now=now)

    async def _grouped(
        self, limits: Mapping[str, Mapping[str, Rate]], tasks: Sequence[ClaimedTask]
    ) -> dict[str, list[ClaimedTask]]:
        ask = any("." not in name for name in limits)
        groups: dict[str, list[ClaimedTask]] = {}
        known: dict[str, set[str]] = {}
        for task in tasks:
            domain = task.email.rpartition("@")[2].lower()
            if domain not in known:
                known[domain] = {domain} | (await self._group(domain) if ask else set())
            for name in known[domain] & limits.keys():
                groups.setdefault(name, []).append(task)
        return groups

    async def _group(self, domain: str) -> set[str]:
        found = await self._resolver.lookup(domain)
        return {provider_group(found)} if isinstance(found, MailHosts) else set()


async def hold_back(
    db: Database,
    scope: Scope,
    limits: Mapping[str, Mapping[str, Rate]],
    groups: Mapping[str, Sequence[ClaimedTask]],
    *,
    now: datetime,
) -> dict[int, HeldBack]:
    """The tasks of each group that its limits do not let go now."""
    held: dict[int, HeldBack] = {}
    if not groups:
        return held
    async with db.write(scope) as tx:
        for group in sorted(groups):
            waiting = [task for task in groups[group] if task.id not in held]
            rates = limits[group]
            granted = await buckets.take(tx, scope, rates, wanted=len(waiting), now=now)
            slowest = min(rates.values(), key=lambda rate: rate.refill_per_second)
            for number, task in enumerate(waiting[granted.count :]):
                due = granted.ready_at + timedelta(seconds=number / slowest.refill_per_second)
                held[task.id] = HeldBack(due, f"limited to {slowest} for {group}")
    return held
