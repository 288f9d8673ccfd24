"""From a password, a session or a key to a Scope; and what each of them may no longer do."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthorised
from mailengine.core.scope import ROLE_GRANTS, Grant, Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import api_keys, auth, sessions
from mailengine.domain.accounts.users import (
    add_member,
    create_user,
    hash_password,
    list_members,
    set_password,
    user_with,
    verify_password,
)
from mailengine.models import ApiKey, AuditEntry, Membership, Role, WebSession
from support.house import INSTANCE, NOW

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "ann@example.org", "correct horse"


HASHES: dict[str, str] = {}


async def hashed(password: str) -> str:
    """Argon2 takes its time, so each password is hashed once for the whole file."""
    if password not in HASHES:
        HASHES[password] = await hash_password(password)
    return HASHES[password]


async def add_user(db: Database, scope: Scope, role: Role = Role.EDITOR, email: str = EMAIL) -> int:
    password_hash = await hashed(PASSWORD)
    async with db.write(INSTANCE) as tx:
        user = await create_user(tx, INSTANCE, email=email, password_hash=password_hash, now=NOW)
        assert user.id is not None
        await add_member(tx, scope, user_id=user.id, role=role, now=NOW)
        return user.id


async def log_in(db: Database, *, email: str = EMAIL, password: str = PASSWORD) -> sessions.NewLogin:
    async with db.read(INSTANCE) as tx:
        credential = await auth.credential_of(tx, INSTANCE, email=email)
    ok = await verify_password(credential.password_hash, password)
    async with db.write(INSTANCE) as tx:
        made = await auth.log_in(tx, INSTANCE, credential=credential, password_ok=ok, now=NOW)
    assert isinstance(made, sessions.NewLogin)
    return made


async def session(db: Database, token: str, *, days: float = 0) -> sessions.Login | None:
    async with db.read(INSTANCE) as tx:
        return await sessions.scope_of_session(tx, INSTANCE, token=token, now=NOW + timedelta(days=days))


async def test_a_session_leads_to_the_scope_of_its_user(db: Database, scope: Scope, other: Scope) -> None:
    user_id = await add_user(db, scope)
    made = await log_in(db, email=" Ann@Example.org ")
    found = await session(db, made.token)
    assert found is not None
    assert found.scope.tenant_id == scope.tenant_id
    assert found.scope.actor == f"user:{user_id}"
    assert found.scope.grants == ROLE_GRANTS["editor"]
    assert found.csrf_token == made.csrf_token
    assert not found.renew
    assert len(made.token) == 43
    async with db.read(INSTANCE) as tx:
        stored = await tx.scalar(sa.select(WebSession))
    assert stored is not None
    assert made.token not in (stored.token_hash, stored.csrf_token)


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "wrong horse"), ("bob@example.org", PASSWORD), ("nonsense", PASSWORD), (EMAIL, "")],
)
async def test_a_wrong_login_says_the_same_whatever_is_wrong(
    db: Database, scope: Scope, email: str, password: str
) -> None:
    await add_user(db, scope)
    with pytest.raises(Unauthorised, match="the e-mail address or the password is wrong"):
        await log_in(db, email=email, password=password)


async def test_a_user_without_a_tenant_cannot_log_in(db: Database, scope: Scope) -> None:
    password_hash = await hashed(PASSWORD)
    async with db.write(INSTANCE) as tx:
        await create_user(tx, INSTANCE, email=EMAIL, password_hash=password_hash, now=NOW)
    with pytest.raises(Unauthorised):
        await log_in(db)


async def test_a_session_slides_and_ends(db: Database, scope: Scope) -> None:
    await add_user(db, scope)
    token = (await log_in(db)).token
    old = await session(db, token, days=10)
    assert old is not None
    assert old.renew
    async with db.write(INSTANCE) as tx:
        await sessions.keep_alive(tx, INSTANCE, token=token, now=NOW + timedelta(days=10))
    assert await session(db, token, days=20) is not None
    assert await session(db, token, days=24) is None
    async with db.write(INSTANCE) as tx:
        await sessions.keep_alive(tx, INSTANCE, token=token, now=NOW + timedelta(days=30))
    assert await session(db, token, days=30) is None


async def test_logging_out_ends_one_session_and_a_new_password_ends_all(db: Database, scope: Scope) -> None:
    await add_user(db, scope)
    first, second, third = [(await log_in(db)).token for _ in range(3)]
    async with db.write(INSTANCE) as tx:
        await sessions.log_out(tx, INSTANCE, token=first, now=NOW)
    assert await session(db, first) is None
    assert await session(db, second) is not None
    changed = await hashed("another horse")
    async with db.write(INSTANCE) as tx:
        await set_password(tx, INSTANCE, email=EMAIL, password_hash=changed, now=NOW)
    assert await session(db, second) is None
    assert await session(db, third) is None
    with pytest.raises(Unauthorised):
        await log_in(db)


async def test_a_password_that_changed_while_it_was_verified_opens_nothing(
    db: Database, scope: Scope
) -> None:
    await add_user(db, scope)
    async with db.read(INSTANCE) as tx:
        credential = await auth.credential_of(tx, INSTANCE, email=EMAIL)
    changed = await hashed("another horse")
    async with db.write(INSTANCE) as tx:
        await set_password(tx, INSTANCE, email=EMAIL, password_hash=changed, now=NOW)
    async with db.write(INSTANCE) as tx:
        with pytest.raises(Unauthorised):
            await auth.log_in(tx, INSTANCE, credential=credential, password_ok=True, now=NOW)


async def test_who_lost_the_membership_lost_the_session(db: Database, scope: Scope) -> None:
    await add_user(db, scope)
    token = (await log_in(db)).token
    async with db.write(INSTANCE) as tx:
        await tx.execute(sa.delete(Membership))
    assert await session(db, token) is None


async def test_expired_sessions_go_with_the_next_login(db: Database, scope: Scope) -> None:
    await add_user(db, scope)
    await log_in(db)
    async with db.write(INSTANCE) as tx:
        await tx.execute(sa.update(WebSession).values(expires_at=NOW - timedelta(days=1)))
    await log_in(db)
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(WebSession)) == 1


async def test_a_user_of_two_tenants_chooses(db: Database, scope: Scope, other: Scope) -> None:
    user_id = await add_user(db, scope)
    async with db.write(INSTANCE) as tx:
        await add_member(tx, other, user_id=user_id, role=Role.VIEWER, now=NOW)
    assert (await log_in(db)).scope.tenant_id == scope.tenant_id
    async with db.read(INSTANCE) as tx:
        credential = await auth.credential_of(tx, INSTANCE, email=EMAIL)
    async with db.write(INSTANCE) as tx:
        made = await auth.log_in(
            tx, INSTANCE, credential=credential, password_ok=True, now=NOW, tenant_id=other.tenant_id
        )
    assert (made.scope.tenant_id, made.scope.grants) == (other.tenant_id, ROLE_GRANTS["viewer"])


async def test_members_are_listed_per_tenant(db: Database, scope: Scope, other: Scope) -> None:
    await add_user(db, scope)
    async with db.read(scope) as tx:
        assert [(member.email, member.role) for member in await list_members(tx, scope)] == [
            (EMAIL, "editor")
        ]
    async with db.read(other) as tx:
        assert await list_members(tx, other) == []


async def test_an_address_is_one_user_in_every_spelling(db: Database, scope: Scope) -> None:
    await add_user(db, scope)
    with pytest.raises(Conflict, match="already a user"):
        await add_user(db, scope, email="ANN@EXAMPLE.ORG")
    async with db.read(INSTANCE) as tx:
        assert await user_with(tx, email="Ann@example.org") is not None


async def test_only_managers_add_members(db: Database, scope: Scope) -> None:
    editor = Scope(scope.tenant_id, "user:1", ROLE_GRANTS["editor"])
    async with db.write(editor) as tx:
        with pytest.raises(Forbidden, match="manage"):
            await add_member(tx, editor, user_id=1, role=Role.OWNER, now=NOW)


async def make_key(
    db: Database, scope: Scope, name: str = "shop", role: Role = Role.EDITOR
) -> api_keys.NewKey:
    async with db.write(scope) as tx:
        return await api_keys.create(tx, scope, name=name, role=role, now=NOW)


async def scope_of(db: Database, token: str) -> Scope | None:
    async with db.read(INSTANCE) as tx:
        found = await auth.scope_of_key(tx, INSTANCE, token=token, now=NOW)
    return None if found is None else found.scope


async def test_a_key_leads_to_its_scope_until_it_is_revoked(db: Database, scope: Scope, other: Scope) -> None:
    made = await make_key(db, scope)
    assert made.token.startswith("mek_")
    assert len(made.token) == 47
    found = await scope_of(db, made.token)
    assert found == Scope(scope.tenant_id, f"key:{made.key.id}", ROLE_GRANTS["editor"])
    async with db.write(scope) as tx:
        await api_keys.revoke(tx, scope, name="shop", now=NOW)
    assert await scope_of(db, made.token) is None
    for wrong in ("", "mek_", made.token[:-1], made.token[4:], "mek_\ud800"):
        assert await scope_of(db, wrong) is None


async def test_a_keys_use_is_written_down_now_and_then(db: Database, scope: Scope) -> None:
    made, unused = await make_key(db, scope), await make_key(db, scope, "other")

    async def used(minutes: int) -> bool:
        now = NOW + timedelta(minutes=minutes)
        async with db.read(INSTANCE) as tx:
            found = await auth.scope_of_key(tx, INSTANCE, token=made.token, now=now)
        assert found is not None
        if found.renew:
            async with db.write(INSTANCE) as write_tx:
                await auth.note_use(write_tx, INSTANCE, token=made.token, now=now)
        return found.renew

    assert [await used(minutes) for minutes in (0, 10, 15, 16, 20)] == [True, False, False, True, False]
    async with db.read(scope) as tx:
        keys = {key.name: key.last_used_at for key in (await api_keys.list_(tx, scope)).items}
    assert keys == {"shop": NOW + timedelta(minutes=16), unused.key.name: None}


async def test_keys_belong_to_their_tenant(db: Database, scope: Scope, other: Scope) -> None:
    made = await make_key(db, scope)
    await make_key(db, other)  # the same name is free there
    async with db.write(other) as tx:
        await api_keys.revoke(tx, other, name="shop", now=NOW)
    assert await scope_of(db, made.token) is not None
    async with db.write(other) as tx:
        with pytest.raises(NotFound):
            await api_keys.revoke(tx, other, name="nothing", now=NOW)
    async with db.read(other) as tx:
        page = await api_keys.list_(tx, other)
    assert (page.total, [key.tenant_id for key in page.items]) == (1, [other.tenant_id])


async def test_a_key_name_is_used_once_and_holds_no_address(db: Database, scope: Scope) -> None:
    await make_key(db, scope)
    with pytest.raises(Conflict, match="shop"):
        await make_key(db, scope)
    for name in ("", "x" * 101, "ann@example.org"):
        with pytest.raises(InvalidInput):
            await make_key(db, scope, name)


async def test_a_key_never_does_more_than_who_made_it(db: Database, scope: Scope) -> None:
    manager = Scope(scope.tenant_id, "user:1", frozenset({Grant.READ, Grant.MANAGE}))
    with pytest.raises(Forbidden):
        await make_key(db, manager, role=Role.EDITOR)
    await make_key(db, manager, role=Role.VIEWER)
    async with db.read(INSTANCE) as tx:
        assert [key.role for key in await tx.scalars(sa.select(ApiKey))] == ["viewer"]
    stronger = (await make_key(db, scope, "owners", Role.OWNER)).token
    with pytest.raises(Forbidden):
        async with db.write(manager) as write:
            await api_keys.revoke(write, manager, name="owners", now=NOW)
    assert await scope_of(db, stronger) is not None


async def test_logins_and_keys_are_in_the_audit_log(db: Database, scope: Scope, other: Scope) -> None:
    user_id = await add_user(db, scope)
    await log_in(db)
    made = await make_key(db, scope)
    async with db.read(INSTANCE) as tx:
        rows = await tx.scalars(
            sa.select(AuditEntry)
            .where(col(AuditEntry.tenant_id) == scope.tenant_id)
            .order_by(col(AuditEntry.id))
        )
        found = [(row.action, row.actor, row.resource_id) for row in rows]
    assert found == [
        ("tenant.create", "test", scope.tenant_id),
        ("user.add", "test", user_id),
        ("user.login", f"user:{user_id}", user_id),
        ("api-key.create", "test", made.key.id),
    ]
