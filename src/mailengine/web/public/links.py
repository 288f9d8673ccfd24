"""What the public endpoints share: a token is the whole credential, and stands for one recipient."""

from litestar import Request, Response
from litestar.datastructures import State

from mailengine.core.errors import NotFound
from mailengine.core.scope import Scope
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.tracking.events import Origin, origin
from mailengine.domain.tracking.tokens import Purpose, Recipient
from mailengine.web.rendering import html, theme_of
from mailengine.web.security import PUBLIC_HEADERS, request_id
from mailengine.web.site import Site

AnyRequest = Request[object, object, State]


def recipient_of(site: Site, token: str, purpose: Purpose) -> Recipient:
    """Whom the token was made for; raises NotFound for any that this installation did not sign."""
    recipient = site.tokens.read(token, purpose)
    if recipient is None:
        raise NotFound("this link leads nowhere")
    return recipient


def scope_of(recipient: Recipient, request: AnyRequest) -> Scope:
    """Whoever holds the link acts on their own subscription, with no grant in the tenant."""
    address = request.client.host if request.client else ""
    return Scope(recipient.tenant_id, "link", frozenset(), request_id(request.scope), address)


def origin_of(request: AnyRequest) -> Origin:
    return origin(request.client.host if request.client else "", request.headers.get("user-agent", ""))


async def public_page(
    site: Site, request: AnyRequest, scope: Scope, template: str, *, status: int = 200, **values: object
) -> Response[str]:
    """A page that recipients see, with the organisation's name and links on it."""
    async with site.rt.db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
    around = {
        "theme": theme_of(request),
        "organisation": tenant.name,
        "privacy_url": tenant.privacy_url,
        "terms_url": tenant.terms_url,
    }
    return html(site.render(template, **(around | values)), status=status, headers=PUBLIC_HEADERS)
