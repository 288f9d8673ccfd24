"""What servers and recipients make of the organisation's mail, over the API."""

from datetime import datetime
from typing import Literal

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from mailengine.core.scope import Scope
from mailengine.domain.delivery import kill_switch, reputation
from mailengine.domain.reports.health import Health, Light, health
from mailengine.models import Standing
from mailengine.web.api.delivery import SwitchShape, switch_shape
from mailengine.web.api.shapes import READ
from mailengine.web.site import Site


class HealthShape(msgspec.Struct):
    """The signs by which mailbox providers judge a sender; a rate is a share of one and, like its light, null while
    too little was sent to say."""

    bounce_rate: float | None
    bounces: Light | None
    complaint_rate: float | None
    complaints: Light | None
    open_rate: float | None
    opens: Light | None
    sending_domains: int
    verified_domains: int
    domains: Light


class ReputationShape(msgspec.Struct):
    """The last 30 days. `lane` is `lower` where campaigns are fed after those of others. `suspended` is the
    organisation's kill switch, which bad figures set."""

    standing: Standing
    lane: Literal["normal", "lower"]
    sent: int
    bounces: int
    complaints: int
    health: HealthShape
    evaluated_at: datetime | None
    suspended: SwitchShape | None


class Reputation(Controller):
    """Bounces, complaints, opens, domains."""

    path = "/reputation"
    tags = ("delivery",)

    @get(**READ, summary="See the reputation and Sender Health")
    async def see(self, site: NamedDependency[Site], caller: NamedDependency[Scope]) -> ReputationShape:
        """Over 5 % bounces or 0.3 % complaints sending is suspended."""
        now = site.rt.clock.now()
        async with site.rt.db.read(caller) as tx:
            figures = await reputation.figures(tx, caller, now=now)
            stored = await reputation.stored(tx, caller)
            signs = await health(tx, caller, now=now)
            switch = (await kill_switch.of_tenant(tx, caller)).tenant
        return ReputationShape(
            standing=figures.standing,
            lane="lower" if reputation.comes_after(stored) else "normal",
            sent=figures.sent,
            bounces=figures.bounces,
            complaints=figures.complaints,
            health=health_shape(signs),
            evaluated_at=stored.evaluated_at if stored is not None else None,
            suspended=switch_shape(switch),
        )


def health_shape(signs: Health) -> HealthShape:
    return HealthShape(
        bounce_rate=signs.bounces,
        bounces=signs.bounce_light,
        complaint_rate=signs.complaints,
        complaints=signs.complaint_light,
        open_rate=signs.opens,
        opens=signs.open_light,
        sending_domains=signs.domains,
        verified_domains=signs.verified,
        domains=signs.domain_light,
    )
