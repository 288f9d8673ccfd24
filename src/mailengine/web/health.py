"""Is the process alive, can it serve, does the whole installation work (P75-07), and the numbers of it."""

import hmac
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency

from mailengine.web import seen
from mailengine.web.condition import Condition, condition, database_problem
from mailengine.web.site import Site


@get("/livez", sync_to_thread=False, media_type=MediaType.TEXT)
def livez(site: NamedDependency[Site], request: Request[Any, Any, State]) -> Response[str]:
    """The process answers; says nothing of what it needs."""
    asked = request.headers.get(seen.ASKING)
    known = asked is not None and seen.is_doctor(site.rt.keyring, asked, site.rt.clock.now())
    return Response("ok", headers={seen.TOLD: _seen(request)} if known else {}, media_type=MediaType.TEXT)


def _seen(request: Request[Any, Any, State]) -> str:
    client, headers = request.client, request.headers
    told = seen.Seen(
        host=headers.get("host", ""),
        scheme=request.url.scheme,
        client=client.host if client is not None else "",
        forwarded_for=headers.get("x-forwarded-for"),
    )
    return msgspec.json.encode(told).decode()


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(site: NamedDependency[Site]) -> Response[str]:
    """The database answers and has this code's schema: a proxy may send requests here."""
    problem = await database_problem(site.rt)
    return Response(problem or "ok", status_code=503 if problem else 200, media_type=MediaType.TEXT)


@get("/health")
async def health(site: NamedDependency[Site]) -> Response[Condition]:
    """For monitors: 200 when all works, 503 when something does not."""
    found = await condition(site.rt, site.pulse)
    return Response(found, status_code=200 if found.status == "ok" else 503)


@get("/metrics")
async def metrics(site: NamedDependency[Site], request: Request[Any, Any, State]) -> Response[bytes]:
    """For Prometheus, with the token of the settings; nothing is here while there is none.

    An address is no credential: behind a proxy on the same machine everybody comes from the loopback.
    """
    from mailengine.web.metrics import CONTENT_TYPE, scrape  # prometheus_client, for those who scrape

    token = site.rt.settings.health.token
    if token is None:
        return _refused(404, "metrics are on the health port, or here once health.token is set")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode()):
        return _refused(401, "metrics need `Authorization: Bearer TOKEN` with the token of the settings")
    return Response(await scrape(site.rt, site.pulse), media_type=CONTENT_TYPE)


def _refused(status: int, words: str) -> Response[bytes]:
    """A line for a program: an error of the pages would send it to the login."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(words.encode(), status_code=status, media_type=MediaType.TEXT, headers=headers)
