"""Invitations, roles and leaving; what the other tenant, a lower role and a second use are refused."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, NotFound, Unauthorised
from mailengine.core.scope import ROLE_GRANTS, Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import invitations, members, sessions
from mailengine.domain.accounts.users import UNKNOWN_USER, list_members
from mailengine.models import AuditEntry, Membership, Role, User
from support.house import INSTANCE, NOW
from support.people import add_person, begin_session, login_of

pytestmark = pytest.mark.anyio
EMAIL = "new@example.org"


def as_role(scope: Scope, role: Role) -> Scope:
    return Scope(scope.tenant_id, "user:99", ROLE_GRANTS[role])


async def invite(db: Database, scope: Scope, role: Role = Role.EDITOR, email: str = EMAIL) -> str:
    async with db.write(scope) as tx:
        return (await invitations.invite(tx, scope, email=email, role=role, now=NOW)).token


async def accept(db: Database, token: str, *, days: float = 0) -> Membership:
    async with db.write(INSTANCE) as tx:
        now = NOW + timedelta(days=days)
        return await invitations.accept_as_new(tx, INSTANCE, token=token, password_hash=UNKNOWN_USER, now=now)


async def test_an_invitation_makes_an_account_once(db: Database, scope: Scope) -> None:
    token = await invite(db, scope, Role.VIEWER)
    async with db.read(INSTANCE) as tx:
        offer = await invitations.offer_of(tx, INSTANCE, token=token, now=NOW)
    assert (offer.organisation, offer.email, offer.role, offer.user_id) == ("Acme", EMAIL, "viewer", None)
    member = await accept(db, token)
    assert (member.tenant_id, member.role) == (scope.tenant_id, "viewer")
    with pytest.raises(NotFound, match="used"):
        await accept(db, token)


async def test_an_invitation_expires_is_withdrawn_and_replaced(db: Database, scope: Scope) -> None:
    first = await invite(db, scope)
    second = await invite(db, scope)
    for token, days in ((first, 0), (second, 7), ("made up", 0)):
        with pytest.raises(NotFound):
            await accept(db, token, days=days)
    async with db.write(scope) as tx:
        (only,) = await invitations.list_invitations(tx, scope, now=NOW)
        await invitations.withdraw(tx, scope, invitation_id=only.id or 0, now=NOW)
    with pytest.raises(NotFound):
        await accept(db, second)


async def test_of_two_who_invite_the_same_address_at_once_one_does(db: Database, scope: Scope) -> None:
    async def offer() -> str:
        async with db.write(scope) as tx:
            made = await invitations.invite(tx, scope, email="ann@example.org", role=Role.VIEWER, now=NOW)
        return made.token

    ends = await asyncio.gather(*(offer() for _ in range(5)), return_exceptions=True)
    assert {type(end) for end in ends} <= {str, Conflict}
    async with db.read(scope) as tx:
        assert len(await invitations.list_invitations(tx, scope, now=NOW)) == 1


async def test_only_the_invited_address_joins_with_its_account(
    db: Database, scope: Scope, other: Scope
) -> None:
    token = await invite(db, scope)
    for email, refusal in (("thief@example.org", Unauthorised), (EMAIL, None)):
        user_id = await add_person(db, other, email=email)
        async with db.write(INSTANCE) as tx:
            user = await tx.get(User, user_id)
            assert user is not None
            if refusal:
                with pytest.raises(refusal, match="another address"):
                    await invitations.accept(tx, INSTANCE, token=token, user=user, now=NOW)
            else:
                await invitations.accept(tx, INSTANCE, token=token, user=user, now=NOW)
    async with db.read(scope) as tx:
        assert [member.email for member in await list_members(tx, scope)] == [EMAIL]
    with pytest.raises(Conflict, match="member"):
        await invite(db, scope)


async def test_two_who_accept_at_once_make_one_member(db: Database, scope: Scope) -> None:
    token = await invite(db, scope)
    results = await asyncio.gather(accept(db, token), accept(db, token), return_exceptions=True)
    assert sum(isinstance(result, Membership) for result in results) == 1
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(User)) == 1


async def test_another_tenant_neither_sees_nor_withdraws_them(
    db: Database, scope: Scope, other: Scope
) -> None:
    await invite(db, scope)
    async with db.write(other) as tx:
        assert await invitations.list_invitations(tx, other, now=NOW) == []
        with pytest.raises(NotFound):
            await invitations.withdraw(tx, other, invitation_id=1, now=NOW)
    await invite(db, other)  # the same address may be invited there too


@pytest.mark.parametrize("role", [Role.EDITOR, Role.VIEWER])
async def test_who_does_not_manage_changes_nobody(db: Database, scope: Scope, role: Role) -> None:
    user_id, weak = await add_person(db, scope), as_role(scope, role)
    async with db.write(weak) as tx:
        for refused in (
            invitations.invite(tx, weak, email=EMAIL, role=Role.VIEWER, now=NOW),
            invitations.withdraw(tx, weak, invitation_id=1, now=NOW),
            invitations.list_invitations(tx, weak, now=NOW),
            members.change_role(tx, weak, user_id=user_id, role=Role.VIEWER, now=NOW),
            members.remove(tx, weak, user_id=user_id, now=NOW),
        ):
            with pytest.raises(Forbidden):
                await refused


async def test_an_admin_makes_and_touches_no_owner(db: Database, scope: Scope) -> None:
    admin = as_role(scope, Role.ADMIN)
    owner_id = await add_person(db, scope, Role.OWNER, "owner@example.org")
    await add_person(db, scope, Role.OWNER, "second@example.org")
    editor_id = await add_person(db, scope)
    async with db.write(admin) as tx:
        for refused in (
            invitations.invite(tx, admin, email=EMAIL, role=Role.OWNER, now=NOW),
            members.change_role(tx, admin, user_id=editor_id, role=Role.OWNER, now=NOW),
            members.change_role(tx, admin, user_id=owner_id, role=Role.VIEWER, now=NOW),
            members.remove(tx, admin, user_id=owner_id, now=NOW),
        ):
            with pytest.raises(Forbidden, match="owner"):
                await refused
        await members.change_role(tx, admin, user_id=editor_id, role=Role.ADMIN, now=NOW)


async def test_a_tenant_keeps_an_owner(db: Database, scope: Scope, other: Scope) -> None:
    owner_id = await add_person(db, scope, Role.OWNER)
    async with db.write(scope) as tx:
        for refused in (
            members.change_role(tx, scope, user_id=owner_id, role=Role.ADMIN, now=NOW),
            members.remove(tx, scope, user_id=owner_id, now=NOW),
            members.leave(tx, scope, user_id=owner_id, now=NOW),
        ):
            with pytest.raises(Conflict, match="needs an owner"):
                await refused
    await add_person(db, scope, Role.OWNER, "second@example.org")
    async with db.write(scope) as tx:
        await members.leave(tx, scope, user_id=owner_id, now=NOW)
    async with db.write(other) as tx:
        with pytest.raises(NotFound):
            await members.remove(tx, other, user_id=owner_id, now=NOW)


async def test_another_role_ends_the_sessions_there_and_only_there(
    db: Database, scope: Scope, other: Scope
) -> None:
    user_id = await add_person(db, scope)
    await add_person(db, other)
    here, there = await begin_session(db, scope, user_id), await begin_session(db, other, user_id)
    async with db.write(scope) as tx:
        await members.change_role(tx, scope, user_id=user_id, role=Role.EDITOR, now=NOW)
    assert await login_of(db, here.token), "the same role changes nothing"
    async with db.write(scope) as tx:
        await members.change_role(tx, scope, user_id=user_id, role=Role.VIEWER, now=NOW)
    assert await login_of(db, here.token) is None
    assert await login_of(db, there.token) is not None
    async with db.write(other) as tx:
        await members.remove(tx, other, user_id=user_id, now=NOW)
    assert await login_of(db, there.token) is None
    async with db.read(INSTANCE) as tx:
        rows = await tx.scalars(sa.select(AuditEntry).where(col(AuditEntry.resource) == "user"))
        assert [(row.action, row.details) for row in rows if row.action != "user.login"] == [
            ("user.role", {"before": "editor", "after": "viewer"}),
            ("user.remove", {"role": "editor"}),
        ]


async def test_switching_takes_a_new_token_and_the_role_of_there(
    db: Database, scope: Scope, other: Scope
) -> None:
    user_id = await add_person(db, scope)
    await add_person(db, other, Role.VIEWER)
    begun = await begin_session(db, scope, user_id)
    login = await login_of(db, begun.token)
    assert login is not None
    async with db.write(INSTANCE) as tx:
        moved = await sessions.switch(tx, INSTANCE, login=login, tenant_id=other.tenant_id, now=NOW)
    assert (moved.scope.tenant_id, moved.scope.grants) == (other.tenant_id, ROLE_GRANTS["viewer"])
    assert await login_of(db, begun.token) is None
    assert moved.csrf_token != begun.csrf_token
    async with db.read(other) as read:
        told = await read.scalars(sa.select(AuditEntry.action).where(AuditEntry.tenant_id == other.tenant_id))
        assert "session.switch" in list(told)
    again = await login_of(db, moved.token)
    assert again is not None
    stranger = await add_person(db, other, email="bob@example.org")
    alone = await login_of(db, (await begin_session(db, other, stranger)).token)
    assert alone is not None
    async with db.write(INSTANCE) as tx:
        with pytest.raises(NotFound):
            await sessions.switch(tx, INSTANCE, login=alone, tenant_id=scope.tenant_id, now=NOW)


async def test_sessions_are_ended_by_their_own_user_only(db: Database, scope: Scope) -> None:
    ann = await add_person(db, scope)
    bob = await add_person(db, scope, email="bob@example.org")
    first, second, third = [(await begin_session(db, scope, ann)).token for _ in range(3)]
    login, theirs = await login_of(db, first), await login_of(db, (await begin_session(db, scope, bob)).token)
    other = await login_of(db, second)
    assert login
    assert theirs
    assert other
    async with db.write(INSTANCE) as tx:
        assert len(await sessions.sessions_of(tx, INSTANCE, user_id=ann, now=NOW)) == 3
        with pytest.raises(NotFound):
            await sessions.end(tx, INSTANCE, login=theirs, session_id=other.session_id, now=NOW)
        await sessions.end(tx, INSTANCE, login=login, session_id=other.session_id, now=NOW)
    assert await login_of(db, second) is None
    async with db.write(INSTANCE) as tx:
        await sessions.end_others(tx, INSTANCE, login=login, now=NOW)
    assert [bool(await login_of(db, token)) for token in (first, third)] == [True, False]
