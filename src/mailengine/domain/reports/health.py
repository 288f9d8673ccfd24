"""Sender Health (P6-06): the signs by which mailbox providers judge a sender, each as a light.

Bounces under 2 % are green, up to 5 % yellow, above red; complaints 0.1 % and 0.5 %; opens over 20 % are green, from
10 % yellow, below red. Below `ENOUGH` messages a rate says nothing, and the light is None.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery import reputation
from mailengine.models import Campaign, EmailEvent, EventKind, SendingDomain

ENOUGH = 100
Light = Literal["green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class Health:
    """The last 30 days; rates are shares of one, None while too little was sent."""

    sent: int
    bounces: float | None
    complaints: float | None
    opens: float | None
    domains: int
    verified: int

    @property
    def bounce_light(self) -> Light | None:
        return _rising(self.bounces, 0.02, 0.05)

    @property
    def complaint_light(self) -> Light | None:
        return _rising(self.complaints, 0.001, 0.005)

    @property
    def open_light(self) -> Light | None:
        if self.opens is None:
            return None
        return "green" if self.opens > 0.2 else "yellow" if self.opens >= 0.1 else "red"

    @property
    def domain_light(self) -> Light:
        if not self.domains:
            return "red"
        return "green" if self.verified == self.domains else "yellow" if self.verified else "red"


def _rising(rate: float | None, watch: float, bad: float) -> Light | None:
    if rate is None:
        return None
    return "green" if rate < watch else "yellow" if rate <= bad else "red"


async def health(tx: ReadTx, scope: Scope, *, now: datetime) -> Health:
    """A tenant's signs; a few rows and one count over the events of recent campaigns."""
    figures = await reputation.figures(tx, scope, now=now)
    domains = (await tx.scalars(owned(SendingDomain, scope))).all()
    known = figures.sent + figures.bounces >= ENOUGH
    opened = await _opened(tx, scope, now) if known else 0
    return Health(
        sent=figures.sent,
        bounces=figures.bounce_rate if known else None,
        complaints=figures.complaint_rate if known else None,
        opens=opened / max(1, figures.sent) if known else None,
        domains=len(domains),
        verified=sum(row.verified_at is not None for row in domains),
    )


async def _opened(tx: ReadTx, scope: Scope, now: datetime) -> int:
    """How many messages of campaigns that began in the window were opened at least once."""
    events, campaigns = table_of(EmailEvent).c, table_of(Campaign).c
    recent = sa.select(campaigns.id).where(
        campaigns.tenant_id == scope.tenant_id, campaigns.launched_at >= now - reputation.WINDOW
    )
    messages = (
        sa.select(events.campaign_id, events.contact_id)
        .where(
            events.tenant_id == scope.tenant_id,
            events.campaign_id.in_(recent),
            events.kind == EventKind.OPEN,
        )
        .distinct()
        .subquery()
    )
    return await tx.scalar(sa.select(sa.func.count()).select_from(messages)) or 0
