"""Keys with which programs use the API: shown once, stored as a hash, revoked but never deleted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import ROLE_GRANTS, Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.auth import KEY_PREFIX
from mailengine.domain.accounts.tokens import new_token, token_hash
from mailengine.models import ApiKey, Role


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the only moment at which its token is known."""

    key: ApiKey
    token: str


async def create(tx: WriteTx, scope: Scope, *, name: str, role: Role, now: datetime) -> NewKey:
    """Make a key that may do what `role` may; raises Forbidden when that is more than the actor may."""
    scope.require(Grant.MANAGE)
    if not ROLE_GRANTS[role] <= scope.grants:
        raise Forbidden(f"a key of role {role.value} could do more than you may; choose a lower role")
    name = name.strip()
    if not name or len(name) > 100 or "@" in name:
        raise InvalidInput("the key's name must have 1 to 100 characters and no @")
    token = KEY_PREFIX + new_token()
    key = ApiKey(
        tenant_id=scope.tenant_id, name=name, token_hash=token_hash(token), role=role, created_at=now
    )
    tx.add(key)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is, or was, an API key called {name}; choose another name") from error
    await audit.record(tx, scope, "api-key.create", "api_key", key.id, now=now, name=name, role=role.value)
    return NewKey(key, token)


async def list_(
    tx: ReadTx,
    scope: Scope,
    *,
    request: PageRequest | None = None,
    text: str = "",
    revoked: bool | None = None,
) -> Page[ApiKey]:
    """The tenant's keys by name, revoked ones too unless `revoked` says which; `text` restricts to names that hold
    it."""
    query = owned(ApiKey, scope)
    if text:
        query = query.where(col(ApiKey.name).icontains(text, autoescape=True))
    if revoked is not None:
        since = col(ApiKey.revoked_at)
        query = query.where(since.is_not(None) if revoked else since.is_(None))
    return await keyset_page(tx, query, col(ApiKey.name), request or PageRequest())


async def name_of(tx: ReadTx, scope: Scope, *, key_id: int) -> str:
    """What the key is called; raises NotFound."""
    key = await tx.scalar(owned(ApiKey, scope).where(col(ApiKey.id) == key_id))
    if key is None:
        raise NotFound("there is no such API key")
    return key.name


async def revoke(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> ApiKey:
    """Refuse the key from now on; revoking it twice keeps the first time."""
    scope.require(Grant.MANAGE)
    key = await tx.scalar(owned(ApiKey, scope).where(col(ApiKey.name) == name))
    if key is None:
        raise NotFound(f"there is no API key called {name}")
    if not ROLE_GRANTS[key.role] <= scope.grants:
        raise Forbidden(f"a key of role {key.role} may do more than you; only an {key.role} revokes it")
    if key.revoked_at is None:
        key.revoked_at = now
        await audit.record(tx, scope, "api-key.revoke", "api_key", key.id, now=now, name=name)
    return key
