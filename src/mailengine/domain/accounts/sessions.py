"""Login sessions: begun, renewed, listed, ended. The cookie holds a token, the row its hash.

Invariants: a token is new whenever what the session may do grows (login, a proof of the password, another tenant),
so that one that was planted or seen before is worth nothing after; a session acts with today's role.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import col

from mailengine.core.errors import NotFound, Unauthorised
from mailengine.core.ids import TenantId
from mailengine.core.scope import ROLE_GRANTS, InstanceScope, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.tokens import new_token, token_hash
from mailengine.models import Membership, User, WebSession

SESSION_LENGTH = timedelta(days=14)
PROOF_LENGTH = timedelta(minutes=10)  # how long a shown password allows dangerous acts
_RENEW_AFTER = timedelta(days=1)  # a sliding session costs a write now and then, not one a request
_SEEN_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A session that has just begun or got a new token; the only moment at which its token is known."""

    token: str
    csrf_token: str
    expires_at: datetime
    scope: Scope


@dataclass(frozen=True, slots=True)
class Login:
    """A session that a request came with; `renew` asks the face to call `keep_alive`."""

    scope: Scope
    user: User
    role: str
    session_id: str
    csrf_token: str
    proved_at: datetime | None
    renew: bool
    organisations: int  # that the user is in

    def proved(self, now: datetime) -> bool:
        """Whether the person showed a password or a code within the last minutes."""
        return self.proved_at is not None and now - self.proved_at < PROOF_LENGTH


async def begin(
    tx: WriteTx, instance: InstanceScope, *, member: Membership, now: datetime, agent: str = ""
) -> NewLogin:
    """A new session of a user who has shown who they are."""
    scope = scope_of(member, instance)
    token, csrf_token, expires_at = new_token(), new_token(), now + SESSION_LENGTH
    await tx.execute(
        sa.delete(WebSession).where(
            col(WebSession.user_id) == member.user_id, col(WebSession.expires_at) <= now
        )
    )
    tx.add(
        WebSession(
            token_hash=token_hash(token),
            user_id=member.user_id,
            tenant_id=member.tenant_id,
            csrf_token=csrf_token,
            created_at=now,
            expires_at=expires_at,
            proved_at=now,
            seen_at=now,
            address=instance.address[:45],
            agent=agent[:200],
        )
    )
    await audit.record(tx, scope, "user.login", "user", member.user_id, now=now)
    return NewLogin(token, csrf_token, expires_at, scope)


async def scope_of_session(tx: ReadTx, instance: InstanceScope, *, token: str, now: datetime) -> Login | None:
    """Who is logged in with this token, with today's role; None when it is unknown, expired or void."""
    found = await tx.execute(_of_token(), {"hash": token_hash(token), "now": now})
    row = found.first()
    if row is None:
        return None
    session, user, member, organisations = row
    return Login(
        scope=scope_of(member, instance),
        user=user,
        role=member.role,
        session_id=session.token_hash,
        csrf_token=session.csrf_token,
        proved_at=session.proved_at,
        renew=_stale(session, now),
        organisations=organisations,
    )


@cache  # every request asks it, and to build it takes as long as to run it
def _of_token() -> sa.Select[WebSession, User, Membership, int]:
    every = aliased(Membership)
    mine = sa.select(sa.func.count()).select_from(every).where(col(every.user_id) == col(WebSession.user_id))
    return (
        sa.select(WebSession, User, Membership, mine.scalar_subquery())
        .join(User, col(User.id) == col(WebSession.user_id))
        .join(
            Membership,
            sa.and_(
                col(Membership.user_id) == col(WebSession.user_id),
                col(Membership.tenant_id) == col(WebSession.tenant_id),
            ),
        )
        .where(col(WebSession.token_hash) == sa.bindparam("hash"))
        .where(col(WebSession.expires_at) > sa.bindparam("now"))
    )


async def keep_alive(tx: WriteTx, instance: InstanceScope, *, token: str, now: datetime) -> None:
    """Let a session that is in use last another two weeks; one that expired stays expired."""
    await tx.execute(
        sa.update(WebSession)
        .where(col(WebSession.token_hash) == token_hash(token), col(WebSession.expires_at) > now)
        .values(expires_at=now + SESSION_LENGTH, seen_at=now, address=instance.address[:45])
    )


async def prove(tx: WriteTx, instance: InstanceScope, *, login: Login, now: datetime) -> NewLogin:
    """The person has just shown the password or a code again: a new token, good for dangerous acts."""
    return await _rotate(tx, instance, login=login, tenant_id=login.scope.tenant_id, proved_at=now, now=now)


async def confirm(tx: WriteTx, instance: InstanceScope, *, login: Login, now: datetime) -> NewLogin:
    """`prove` for its own sake, before something dangerous: the log tells that it was asked for."""
    await audit.record(tx, login.scope, "user.confirmed", "user", login.user.id, now=now)
    return await prove(tx, instance, login=login, now=now)


async def note_wrong_proof(tx: WriteTx, instance: InstanceScope, *, login: Login, now: datetime) -> None:
    """Somebody at an open session did not know the password or the code."""
    await audit.record(tx, login.scope, "user.confirm-failed", "user", login.user.id, now=now)


async def switch(
    tx: WriteTx, instance: InstanceScope, *, login: Login, tenant_id: int, now: datetime
) -> NewLogin:
    """Go on in another tenant of the user's, whose log tells of it; raises NotFound for one that they are not in."""
    moved = await _rotate(tx, instance, login=login, tenant_id=tenant_id, proved_at=login.proved_at, now=now)
    await audit.record(tx, moved.scope, "session.switch", "user", login.user.id, now=now)
    return moved


async def sessions_of(
    tx: ReadTx, instance: InstanceScope, *, user_id: int, now: datetime
) -> list[WebSession]:
    """Where the user is logged in, the most recently used first."""
    rows = await tx.scalars(
        sa.select(WebSession)
        .where(col(WebSession.user_id) == user_id, col(WebSession.expires_at) > now)
        .order_by(col(WebSession.seen_at).desc(), col(WebSession.token_hash))
    )
    return list(rows)


async def end(tx: WriteTx, instance: InstanceScope, *, login: Login, session_id: str, now: datetime) -> None:
    """End one of the user's own sessions; raises NotFound for anybody else's."""
    assert login.user.id is not None
    chosen = (col(WebSession.token_hash) == session_id, col(WebSession.user_id) == login.user.id)
    gone = await tx.scalar(sa.delete(WebSession).where(*chosen).returning(col(WebSession.user_id)))
    if gone is None:
        raise NotFound("there is no such session; it may have ended already")
    await audit.record(tx, login.scope, "session.end", "user", login.user.id, now=now)


async def end_others(tx: WriteTx, instance: InstanceScope, *, login: Login, now: datetime) -> None:
    """Leave the user logged in here only."""
    assert login.user.id is not None
    await end_all(tx, user_id=login.user.id, keep=login.session_id)
    await audit.record(tx, login.scope, "session.end-others", "user", login.user.id, now=now)


async def end_all(tx: WriteTx, *, user_id: int, tenant_id: int | None = None, keep: str = "") -> None:
    """End a user's sessions: everywhere, or those in one tenant."""
    chosen = [col(WebSession.user_id) == user_id, col(WebSession.token_hash) != keep]
    if tenant_id is not None:
        chosen.append(col(WebSession.tenant_id) == tenant_id)
    await tx.execute(sa.delete(WebSession).where(*chosen))


async def log_out(tx: WriteTx, instance: InstanceScope, *, token: str, now: datetime) -> None:
    """End a session; ending one that is unknown is no error."""
    ended = await tx.execute(
        sa.delete(WebSession)
        .where(col(WebSession.token_hash) == token_hash(token))
        .returning(col(WebSession.user_id), col(WebSession.tenant_id))
    )
    for user_id, tenant_id in ended.all():
        actor = f"user:{user_id}"
        scope = Scope(TenantId(tenant_id), actor, frozenset(), instance.request_id, instance.address)
        await audit.record(tx, scope, "user.logout", "user", user_id, now=now)


def scope_of(member: Membership, instance: InstanceScope) -> Scope:
    """What a member may do in the tenant."""
    return Scope(
        TenantId(member.tenant_id),
        f"user:{member.user_id}",
        ROLE_GRANTS[member.role],
        instance.request_id,
        instance.address,
    )


async def _rotate(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    login: Login,
    tenant_id: int,
    proved_at: datetime | None,
    now: datetime,
) -> NewLogin:
    member = await tx.get(Membership, (tenant_id, login.user.id))
    if member is None:
        raise NotFound("there is no such organisation, or you are no member of it")
    token, csrf_token, expires_at = new_token(), new_token(), now + SESSION_LENGTH
    changed = await tx.scalar(
        sa.update(WebSession)
        .where(col(WebSession.token_hash) == login.session_id, col(WebSession.expires_at) > now)
        .values(
            token_hash=token_hash(token),
            csrf_token=csrf_token,
            tenant_id=tenant_id,
            expires_at=expires_at,
            proved_at=proved_at,
            seen_at=now,
        )
        .returning(col(WebSession.user_id))
    )
    if changed is None:
        raise Unauthorised("the session has ended; log in again")
    return NewLogin(token, csrf_token, expires_at, scope_of(member, instance))


def _stale(session: WebSession, now: datetime) -> bool:
    unseen = session.seen_at is None or now - session.seen_at > _SEEN_AFTER
    return unseen or session.expires_at - now < SESSION_LENGTH - _RENEW_AFTER
