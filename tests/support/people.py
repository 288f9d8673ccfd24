"""Users of a tenant for tests, and their sessions, without hashing a password each time."""

from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import sessions
from mailengine.domain.accounts.users import UNKNOWN_USER, create_user, user_with
from mailengine.models import Membership, Role
from support.house import INSTANCE, NOW


async def add_person(
    db: Database, scope: Scope, role: Role = Role.EDITOR, email: str = "ann@example.org"
) -> int:
    """A member of the tenant whose password nobody knows; returns the user's id."""
    async with db.write(INSTANCE) as tx:
        user = await user_with(tx, email=email)
        if user is None:
            user = await create_user(tx, INSTANCE, email=email, password_hash=UNKNOWN_USER, now=NOW)
        assert user.id is not None
        tx.add(Membership(tenant_id=scope.tenant_id, user_id=user.id, role=role))
        return user.id


async def begin_session(db: Database, scope: Scope, user_id: int) -> sessions.NewLogin:
    async with db.write(INSTANCE) as tx:
        member = await tx.get(Membership, (scope.tenant_id, user_id))
        assert member is not None
        return await sessions.begin(tx, INSTANCE, member=member, now=NOW)


async def login_of(db: Database, token: str) -> sessions.Login | None:
    async with db.read(INSTANCE) as tx:
        return await sessions.scope_of_session(tx, INSTANCE, token=token, now=NOW)
