"""What a limit or a warm-up concerns, from the names that a person gives, as it is stored."""

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.delivery.limits.limits import provider_of
from mailengine.domain.senders.domains import check_domain
from mailengine.domain.senders.relays import get_relay
from mailengine.models import LimitScope, WarmUpScope


async def limit_target(
    tx: ReadTx, scope: Scope, *, relay: str | None, provider: str | None
) -> tuple[LimitScope, str]:
    """All that the tenant sends where neither is given. Raises InvalidInput, and NotFound for a relay."""
    if relay is not None and provider is not None:
        raise InvalidInput("a limit is of a relay or of a provider, not both; set two limits")
    if relay is not None:
        return LimitScope.RELAY, str((await get_relay(tx, scope, name=relay)).id)
    if provider is not None:
        return LimitScope.PROVIDER, provider_of(provider)
    return LimitScope.TENANT, ""


async def warm_up_target(
    tx: ReadTx, scope: Scope, *, relay: str | None, domain: str | None
) -> tuple[WarmUpScope, str]:
    """The tenant where neither is given. Raises InvalidInput, and NotFound for a relay."""
    if relay is not None and domain is not None:
        raise InvalidInput("a warm-up is of a relay or of a domain, not both; start two")
    if relay is not None:
        return WarmUpScope.RELAY, str((await get_relay(tx, scope, name=relay)).id)
    if domain is not None:
        return WarmUpScope.DOMAIN, check_domain(domain)
    return WarmUpScope.TENANT, ""
