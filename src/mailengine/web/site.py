"""What the handlers of one app share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment
from litestar.connection import ASGIConnection

from mailengine.core.ratelimit import RateLimit
from mailengine.domain.accounts.openid.provider import Provider
from mailengine.domain.accounts.openid.tokens import Verifier
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.domain.tracking.targets import Targets
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.runtime import Runtime
from mailengine.web.maildir import Maildir
from mailengine.web.pulse import Pulse


def _never() -> None:
    """An app without a supervisor: its settings are those that it began with."""


@dataclass(frozen=True, slots=True)
class Site:
    """`stopping` is set before the server closes its connections: streams must end by themselves. `restart` starts
    every role anew, for a setting that all of them read."""

    rt: Runtime
    hits: HitBuffer
    pulse: Pulse
    tokens: TokenSigner
    targets: Targets
    pages: Environment
    signups: RateLimit
    imports: RateLimit
    caught: Maildir | None
    stopping: asyncio.Event
    restart: Callable[[], None] = _never
    provider: Provider | None = None
    bearer: Verifier | None = None

    @property
    def https(self) -> bool:
        """Whether people reach the installation by https; the settings say so, never a request's header."""
        return self.rt.settings.base_url.startswith("https://")

    def render(self, template: str, /, **values: object) -> str:
        return self.pages.get_template(template).render(**values)


def site_of(request: ASGIConnection[Any, Any, Any, Any]) -> Site:
    """The site of the app that a request came to: what every handler asks for as `site`."""
    site: Site = request.app.state.site
    return site
