"""The second factor: set up, asked for, refused a second time, recovered from, taken away."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, Unauthorised
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import auth, second_factor, sessions, totp
from mailengine.models import AccountToken, Membership, RecoveryCode, User
from support.house import INSTANCE, KEYRING, NOW
from support.people import add_person

pytestmark = pytest.mark.anyio


def code(secret: bytes, seconds: int = 0) -> str:
    return totp.code_at(secret, totp.step_of(NOW + timedelta(seconds=seconds)))


async def begin(db: Database, user_id: int) -> bytes:
    async with db.write(INSTANCE) as tx:
        user = await tx.get(User, user_id)
        assert user is not None
        return await second_factor.begin(tx, keyring=KEYRING, user=user)


async def enable(db: Database, scope: Scope, user_id: int) -> tuple[bytes, list[str]]:
    secret = await begin(db, user_id)
    async with db.write(INSTANCE) as tx:
        codes = await second_factor.enable(
            tx, scope, keyring=KEYRING, user_id=user_id, code=code(secret), now=NOW
        )
    return secret, codes


async def admit(db: Database, scope: Scope, user_id: int) -> sessions.NewLogin | auth.CodeNeeded:
    async with db.write(INSTANCE) as tx:
        member = await tx.get(Membership, (scope.tenant_id, user_id))
        assert member is not None
        return await auth.admit(tx, INSTANCE, member=member, now=NOW)


async def enter(db: Database, token: str, given: str, seconds: int = 0) -> sessions.NewLogin:
    async with db.write(INSTANCE) as tx:
        now = NOW + timedelta(seconds=seconds)
        return await auth.log_in_with_code(tx, INSTANCE, keyring=KEYRING, token=token, code=given, now=now)


async def test_a_password_alone_makes_no_session_any_more(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    assert isinstance(await admit(db, scope, user_id), sessions.NewLogin)
    secret, _codes = await enable(db, scope, user_id)
    waiting = await admit(db, scope, user_id)
    assert isinstance(waiting, auth.CodeNeeded)
    with pytest.raises(Unauthorised, match="wrong or was used"):
        await enter(db, waiting.token, code(secret))  # the one that set it up
    login = await enter(db, waiting.token, code(secret, 30), 30)
    assert login.scope.tenant_id == scope.tenant_id
    with pytest.raises(Unauthorised):
        await enter(db, waiting.token, code(secret, 60), 60)  # the token is used up
    again = await admit(db, scope, user_id)
    assert isinstance(again, auth.CodeNeeded)
    with pytest.raises(Unauthorised):
        await enter(db, again.token, code(secret, 30), 30)  # a code seen over a shoulder


async def test_a_wrong_code_changes_nothing_and_the_wait_ends(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    secret, _codes = await enable(db, scope, user_id)
    waiting = await admit(db, scope, user_id)
    assert isinstance(waiting, auth.CodeNeeded)
    for wrong in ("", "000000", "x" * 500, code(secret, 300)):
        with pytest.raises(Unauthorised, match="wrong or was used"):
            await enter(db, waiting.token, wrong)
    with pytest.raises(Unauthorised, match="too long"):
        await enter(db, waiting.token, code(secret, 600), 600)
    with pytest.raises(Unauthorised, match="too long"):
        await enter(db, "made up", code(secret, 30), 30)
    assert await enter(db, waiting.token, code(secret, 30), 30)


async def test_each_recovery_code_works_once_however_it_is_typed(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    stranger = await add_person(db, scope, email="bob@example.org")
    _secret, codes = await enable(db, scope, user_id)
    _other, theirs = await enable(db, scope, stranger)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    for given, right in (
        (codes[0].upper().replace("-", " "), True),
        (codes[0], False),
        (theirs[0], False),
        (codes[1], True),
    ):
        waiting = await admit(db, scope, user_id)
        assert isinstance(waiting, auth.CodeNeeded)
        if right:
            await enter(db, waiting.token, given)
        else:
            with pytest.raises(Unauthorised):
                await enter(db, waiting.token, given)
    async with db.read(INSTANCE) as tx:
        assert await second_factor.codes_left(tx, user_id=user_id) == 8
        stored = await tx.scalars(sa.select(col(RecoveryCode.code_hash)))
        assert not {code.replace("-", "") for code in codes} & set(stored)


async def test_other_recovery_codes_make_the_old_ones_void(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    _secret, old = await enable(db, scope, user_id)
    async with db.write(INSTANCE) as tx:
        new = await second_factor.renew_codes(tx, scope, user_id=user_id, now=NOW)
    async with db.write(INSTANCE) as tx:
        assert not await second_factor.check(tx, keyring=KEYRING, user_id=user_id, code=old[0], now=NOW)
        assert await second_factor.check(tx, keyring=KEYRING, user_id=user_id, code=new[0], now=NOW)


async def test_it_is_on_only_after_a_right_code(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    secret = await begin(db, user_id)
    assert await begin(db, user_id) == secret  # the page was loaded again
    async with db.write(INSTANCE) as tx:
        with pytest.raises(InvalidInput, match="clock"):
            await second_factor.enable(tx, scope, keyring=KEYRING, user_id=user_id, code="000000", now=NOW)
    assert isinstance(await admit(db, scope, user_id), sessions.NewLogin)
    async with db.read(INSTANCE) as tx:
        sealed = await tx.scalar(sa.select(col(User.totp_sealed)))
    assert totp.written(secret) not in str(sealed)
    await enable(db, scope, user_id)
    with pytest.raises(Conflict, match="already"):
        await begin(db, user_id)


async def test_taken_away_it_leaves_nothing_behind(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    _secret, codes = await enable(db, scope, user_id)
    waiting = await admit(db, scope, user_id)
    assert isinstance(waiting, auth.CodeNeeded)
    async with db.write(INSTANCE) as tx:
        assert await second_factor.disable(tx, [scope], user_id=user_id, now=NOW)
        assert not await second_factor.disable(tx, [scope], user_id=user_id, now=NOW)
    with pytest.raises(Unauthorised):
        await enter(db, waiting.token, codes[0])
    assert isinstance(await admit(db, scope, user_id), sessions.NewLogin)
    async with db.read(INSTANCE) as tx:
        for table in (RecoveryCode, AccountToken):
            assert await tx.scalar(sa.select(sa.func.count()).select_from(table)) == 0
