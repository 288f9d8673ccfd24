"""What an act did, said as a toast by the page that comes after it (P0-07).

It travels in a cookie for one page, because the act is answered by a redirect. The cookie is sealed with a MAC: what
another site of the same domain set there is not said as if it were ours.
"""

import base64
import hmac
from dataclasses import dataclass
from typing import Any

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from mailengine.web.site import Site

COOKIE = "mailengine_said"
CATEGORIES = ("success", "error", "info", "warning")
_PURPOSE = "flash"
_SECONDS = 60
_MAX_CHARS = 500


@dataclass(frozen=True, slots=True)
class Toast:
    category: str
    text: str


def say(site: Site, answer: Response[Any], text: str, category: str = "success") -> Response[Any]:
    """Let the next page say it; returns the answer."""
    body = base64.urlsafe_b64encode(text[:_MAX_CHARS].encode()).decode()
    value = f"{category}.{body}"
    answer.set_cookie(
        Cookie(
            key=COOKIE,
            value=f"{value}.{_mac(site, value)}",
            max_age=_SECONDS,
            path="/",
            httponly=True,
            samesite="lax",
            secure=site.https,
        )
    )
    return answer


def said(site: Site, connection: ASGIConnection[Any, Any, Any, Any]) -> list[Toast]:
    """What the act before this page left to say."""
    value, _, mac = connection.cookies.get(COOKIE, "").rpartition(".")
    category, _, body = value.partition(".")
    if category not in CATEGORIES or not hmac.compare_digest(mac.encode(), _mac(site, value).encode()):
        return []
    return [Toast(category, base64.urlsafe_b64decode(body.encode()).decode())]


def forget(answer: Response[Any]) -> None:
    answer.delete_cookie(COOKIE, path="/")


def _mac(site: Site, value: str) -> str:
    return hmac.digest(site.rt.keyring.derive(_PURPOSE), value.encode(), "sha256").hex()
