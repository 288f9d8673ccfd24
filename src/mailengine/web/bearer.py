"""Bearer tokens of a configured issuer: from a JWT to the scope of the user it is about."""

from typing import Any

from mailengine.core.config import JwtSettings
from mailengine.core.errors import NotFound, Unauthorised
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.accounts import identities, sessions
from mailengine.domain.accounts.openid.fetching import Fetcher
from mailengine.domain.accounts.openid.provider import claims_of
from mailengine.domain.accounts.openid.tokens import Keys, Verifier
from mailengine.domain.accounts.tenants import find_tenant
from mailengine.models import User
from mailengine.runtime import Runtime

TENANT_HEADER = "x-tenant"  # the slug of the organisation to act in, for users of several


def verifier_of(settings: JwtSettings) -> Verifier | None:
    """None where no issuer is configured."""
    if settings.issuer is None or settings.jwks_url is None:
        return None
    fetcher, url = Fetcher(private=settings.private_hosts), settings.jwks_url

    async def load() -> dict[str, Any]:
        return await fetcher.get(url)

    return Verifier(issuer=settings.issuer, audience=settings.audience, keys=Keys(load))


async def scope_of_token(
    rt: Runtime, instance: InstanceScope, verifier: Verifier, *, token: str, tenant: str
) -> Scope:
    """With the role that the user has today; raises Unauthorised for a token or a user that is not known."""
    now = rt.clock.now()
    claims = claims_of(verifier.issuer, await verifier.claims(token, now=now))
    async with rt.db.read(instance) as tx:
        user = await identities.find(tx, instance, claims=claims)
    if user is None:
        async with rt.db.write(instance) as write_tx:
            user = await identities.find_or_tie(write_tx, instance, claims=claims, now=now)
    return await _scope_in(rt, instance, user, tenant)


async def _scope_in(rt: Runtime, instance: InstanceScope, user: User, tenant: str) -> Scope:
    async with rt.db.read(instance) as tx:
        try:
            chosen = (await find_tenant(tx, instance, slug=tenant)).id if tenant else None
            member = await identities.membership(tx, instance, user_id=user.id or 0, tenant_id=chosen)
        except NotFound:  # said like one that the user is not in
            member = None
    if member is None:
        raise Unauthorised("the user of this token is in no such organisation")
    return sessions.scope_of(member, instance)
