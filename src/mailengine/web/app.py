"""The app factory: every route, and what holds for all of them. The daemon serves it with uvicorn."""

import asyncio

from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.static_files import create_static_files_router

from mailengine.core.scope import InstanceScope
from mailengine.domain.tracking.intake import HitBuffer
from mailengine.domain.tracking.targets import Targets
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.runtime import Runtime
from mailengine.web import errors, health, manifest
from mailengine.web.public import online, tracking, unsubscribe
from mailengine.web.rendering import environment
from mailengine.web.security import header_hook
from mailengine.web.site import Site

PUBLIC = [
    tracking.pixel,
    tracking.click,
    unsubscribe.ask,
    unsubscribe.leave,
    unsubscribe.come_back,
    online.view,
]
MAX_BODY_BYTES = 2_000_000  # a template of 1 MB with room for JSON's escapes; more would only fill memory
IMMUTABLE = CacheControlHeader(max_age=31_536_000, public=True, immutable=True)


def create_app(rt: Runtime, hits: HitBuffer, stopping: asyncio.Event | None = None) -> Litestar:
    """The whole web face. Set `stopping` before the server shuts down, so that event streams end."""
    built = manifest.load()
    site = Site(
        rt=rt,
        hits=hits,
        tokens=TokenSigner(rt.keyring),
        targets=Targets(rt.db, InstanceScope(actor="role:tracker")),
        pages=environment(built),
        stopping=stopping or asyncio.Event(),
    )
    return Litestar(
        [public_router(), *static_routes(built)],
        before_send=[header_hook(https=site.https)],
        dependencies={"site": Provide(lambda: site, sync_to_thread=False)},
        exception_handlers=errors.handlers(site),
        logging_config=None,
        openapi_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        debug=False,
    )


def public_router() -> Router:
    """What answers without a login."""
    return Router(
        "/",
        route_handlers=[health.livez, health.readyz, health.health, *PUBLIC],
        include_in_schema=False,
    )


def static_routes(built: manifest.Manifest) -> list[Router]:
    """The built assets; nothing where there are none."""
    if not built.built:
        return []
    return [
        create_static_files_router(
            manifest.URL, directories=[manifest.DIST], cache_control=IMMUTABLE, include_in_schema=False
        )
    ]
