"""The app factory: the routes with what stands behind them. The daemon serves it with uvicorn."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from jinja2 import Environment
from litestar import Litestar

from mailengine.core.config import Settings
from mailengine.core.ratelimit import RateLimit
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts.openid.provider import Provider
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.domain.tracking.targets import Targets
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.runtime import Runtime
from mailengine.web import manifest
from mailengine.web.bearer import verifier_of
from mailengine.web.maildir import Maildir
from mailengine.web.pages import oidc
from mailengine.web.public import signup
from mailengine.web.pulse import Pulse
from mailengine.web.rendering import environment
from mailengine.web.routes import routes
from mailengine.web.site import Site


def create_app(
    rt: Runtime,
    hits: HitBuffer,
    stopping: asyncio.Event | None = None,
    pulse: Pulse | None = None,
    restart: Callable[[], None] | None = None,
) -> Litestar:
    """The whole web face, of which a process has one: the app of an earlier call answers for this installation too.
    Set `stopping` before the server shuts down, so that event streams end."""
    app, pages = made_once()
    site = _make_site(rt, pulse or Pulse(hits=hits), stopping or asyncio.Event(), pages)
    if restart is not None:
        site = replace(site, restart=restart)
    app.state.site = site
    return app


@cache
def made_once() -> tuple[Litestar, Environment]:
    """The routes and the templates, the same for every installation: half a second of work, which a daemon that
    starts again with other settings has done."""
    built = manifest.load()
    return routes(built), environment(built)


def _make_site(rt: Runtime, pulse: Pulse, stopping: asyncio.Event, pages: Environment) -> Site:
    maildir = rt.settings.catcher.maildir
    return Site(
        rt=rt,
        hits=pulse.hits,
        pulse=pulse,
        tokens=TokenSigner(rt.keyring),
        targets=Targets(rt.db, InstanceScope(actor="role:tracker")),
        pages=pages,
        signups=signup.signup_limit(),
        imports=RateLimit(burst=5, seconds_per_act=12),  # a tenant: five a minute (P75-04)
        caught=Maildir(maildir) if maildir is not None else None,
        stopping=stopping,
        provider=provider_of(rt.settings),
        bearer=verifier_of(rt.settings.jwt),
    )


def provider_of(settings: Settings) -> Provider | None:
    """Single sign-on, where it is configured."""
    if settings.oidc.issuer is None:
        return None
    return Provider(settings.oidc, redirect_uri=settings.base_url + oidc.CALLBACK)
