"""Headers on every answer, whoever makes it: policies, and a request id for the log.

Invariant: a handler may set a header of its own (a narrower policy, caching for ever); what it leaves out is
filled in here, so that forgetting one means the strictest value.
"""

import secrets
from typing import Any

from litestar.types import Message, Scope

FRAMED_BY_US = "; frame-ancestors 'self'"
FRAMED_BY_NOBODY = "; frame-ancestors 'none'"
PAGE_CSP = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; object-src 'none'"
CSP = PAGE_CSP + FRAMED_BY_NOBODY
# Mail as its recipients see it: any picture and its own styles, no script, no form, no frame, an opaque
# origin. Links may open a new tab, which leaves the sandbox.
MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src * data:; base-uri 'none'; form-action 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)

_DEFAULTS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_ENCODED = [(name.encode(), value.encode()) for name, value in _DEFAULTS.items()]
_ENCODED_HTTPS = [*_ENCODED, (b"strict-transport-security", b"max-age=31536000")]
# Links in messages carry a credential in their path: no page behind one tells another site its address.
PUBLIC_HEADERS = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


def request_id(scope: Any) -> str:
    """The id of this request, the same whenever it is asked for."""
    state: dict[str, Any] = scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = secrets.token_hex(8)
    return str(state["request_id"])


async def fill_in_headers(message: Message, scope: Scope) -> None:
    """A `before_send` hook; HSTS only where the installation says that it is reached by https."""
    if message["type"] != "http.response.start":
        return
    headers = list(message["headers"])
    present = {name.lower() for name, _ in headers}
    defaults = _ENCODED_HTTPS if scope["litestar_app"].state.site.https else _ENCODED
    headers += [header for header in defaults if header[0] not in present]
    headers.append((b"x-request-id", request_id(scope).encode()))
    message["headers"] = headers
