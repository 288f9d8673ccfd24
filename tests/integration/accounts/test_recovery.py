"""Forgotten passwords, changed addresses, signing up: single use, expiring, and silent about who has an account."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts import recovery, setup, sign_up
from mailengine.domain.accounts.tenants import TenantChange, check_tenant, update_tenant
from mailengine.models import AccountToken, Membership, Tenant, User
from support.house import INSTANCE, NOW
from support.people import add_person, begin_session, login_of

pytestmark = pytest.mark.anyio

EMAIL, OTHER_HASH = "ann@example.org", "another hash"
DETAILS = check_tenant(name="Acme", country="DE", postal_address="1 Road")


async def ask_reset(db: Database, email: str = EMAIL) -> recovery.Letter | None:
    async with db.write(INSTANCE) as tx:
        return await recovery.ask_reset(tx, INSTANCE, email=email, now=NOW)


async def reset(db: Database, token: str, *, minutes: float = 0) -> str:
    async with db.write(INSTANCE) as tx:
        now = NOW + timedelta(minutes=minutes)
        return await recovery.reset(tx, INSTANCE, token=token, password_hash=OTHER_HASH, now=now)


async def test_a_reset_works_once_and_ends_every_session(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    session = (await begin_session(db, scope, user_id)).token
    first, second = await ask_reset(db), await ask_reset(db, " ANN@example.org")
    assert first
    assert second
    assert first.email == EMAIL
    assert await reset(db, first.token) == EMAIL
    for used in (first.token, second.token):  # the other link of the same day is void as well
        with pytest.raises(NotFound, match="used already"):
            await reset(db, used)
    assert await login_of(db, session) is None
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(col(User.password_hash))) == OTHER_HASH


async def test_a_reset_expires_and_nothing_is_said_of_strangers(db: Database, scope: Scope) -> None:
    await add_person(db, scope)
    letter = await ask_reset(db)
    assert letter
    with pytest.raises(NotFound):
        await reset(db, letter.token, minutes=60)
    for stranger in ("bob@example.org", "nonsense", "", "\ud800@x"):
        assert await ask_reset(db, stranger) is None
    async with db.read(INSTANCE) as tx:
        hashes = list(await tx.scalars(sa.select(col(AccountToken.token_hash))))
    assert letter.token not in hashes


async def test_two_resets_at_once_are_one(db: Database, scope: Scope) -> None:
    await add_person(db, scope)
    letter = await ask_reset(db)
    assert letter
    done = await asyncio.gather(reset(db, letter.token), reset(db, letter.token), return_exceptions=True)
    assert sum(isinstance(result, str) for result in done) == 1


async def test_an_address_changes_only_by_what_was_sent_to_it(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    bob = await add_person(db, scope, email="bob@example.org")
    login = await login_of(db, (await begin_session(db, scope, user_id)).token)
    theirs = await login_of(db, (await begin_session(db, scope, bob)).token)
    assert login
    assert theirs
    async with db.write(INSTANCE) as tx:
        ask = recovery.ask_change_email
        assert await ask(tx, INSTANCE, login=login, email="bob@example.org", now=NOW) is None
        letter = await ask(tx, INSTANCE, login=login, email="New@Example.org", now=NOW)
    assert letter
    assert letter.email == "New@example.org"
    async with db.write(INSTANCE) as tx:
        with pytest.raises(NotFound):
            await recovery.change_email(tx, INSTANCE, login=theirs, token="made up", now=NOW)
        changed = await recovery.change_email(tx, INSTANCE, login=login, token=letter.token, now=NOW)
        assert changed == (EMAIL, "New@example.org")
        with pytest.raises(NotFound):
            await recovery.change_email(tx, INSTANCE, login=login, token=letter.token, now=NOW)


async def test_an_address_that_was_taken_meanwhile_is_refused(db: Database, scope: Scope) -> None:
    user_id = await add_person(db, scope)
    login = await login_of(db, (await begin_session(db, scope, user_id)).token)
    assert login
    async with db.write(INSTANCE) as tx:
        letter = await recovery.ask_change_email(tx, INSTANCE, login=login, email="new@example.org", now=NOW)
    assert letter
    await add_person(db, scope, email="new@example.org")
    with pytest.raises(Conflict, match="another account"):
        async with db.write(INSTANCE) as tx:
            await recovery.change_email(tx, INSTANCE, login=login, token=letter.token, now=NOW)


async def test_signing_up_makes_nothing_until_it_is_confirmed(db: Database, scope: Scope) -> None:
    async with db.write(INSTANCE) as tx:
        asked = {"password_hash": OTHER_HASH, "details": DETAILS, "now": NOW}
        letter = await sign_up.ask(tx, INSTANCE, email="new@example.org", **asked)
        twice = await sign_up.ask(tx, INSTANCE, email="new@example.org", **asked)
    assert letter
    assert twice
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(User)) == 0
    async with db.write(INSTANCE) as tx:
        member = await sign_up.confirm(tx, INSTANCE, token=letter.token, now=NOW)
        made = await tx.get(Tenant, member.tenant_id)
    assert made is not None
    assert (member.role, made.slug) == ("owner", "acme-2")
    with pytest.raises(NotFound, match="sign up once more"):
        async with db.write(INSTANCE) as tx:
            await sign_up.confirm(tx, INSTANCE, token=letter.token, now=NOW)
    with pytest.raises(Conflict, match="already a user"):
        async with db.write(INSTANCE) as tx:
            await sign_up.confirm(tx, INSTANCE, token=twice.token, now=NOW)
    async with db.write(INSTANCE) as tx:
        assert await sign_up.ask(tx, INSTANCE, email="NEW@example.org", **asked) is None


async def test_the_first_visitor_makes_the_first_user_and_nobody_after(db: Database) -> None:
    async with db.write(INSTANCE) as tx:
        token = await setup.setup_token(tx, INSTANCE, now=NOW)
        later = await setup.setup_token(tx, INSTANCE, now=NOW)
    assert token
    assert later
    given = {"details": DETAILS, "email": EMAIL, "password_hash": OTHER_HASH, "now": NOW}
    async with db.write(INSTANCE) as tx:
        assert await setup.setup_open(tx, INSTANCE, token=token, now=NOW)
        assert not await setup.setup_open(tx, INSTANCE, token=token, now=NOW + timedelta(days=1))
        with pytest.raises(NotFound):
            await setup.first_tenant(tx, INSTANCE, token="made up", **given)
        member = await setup.first_tenant(tx, INSTANCE, token=token, **given)
    assert member.role == "owner"
    async with db.write(INSTANCE) as tx:
        assert await setup.setup_token(tx, INSTANCE, now=NOW) is None
        assert not await setup.setup_open(tx, INSTANCE, token=later, now=NOW)
        with pytest.raises(NotFound):
            await setup.first_tenant(tx, INSTANCE, token=later, **given)
        assert await tx.scalar(sa.select(sa.func.count()).select_from(AccountToken)) == 0


async def test_of_links_that_are_asked_for_or_used_at_once_one_works(db: Database) -> None:
    async def given(only: bool) -> str:
        async with db.write(INSTANCE) as tx:
            make = setup.only_setup_token if only else setup.setup_token
            return await make(tx, INSTANCE, now=NOW) or ""

    async def used(token: str, email: str) -> Membership:
        async with db.write(INSTANCE) as tx:
            return await setup.first_tenant(
                tx, INSTANCE, token=token, details=DETAILS, email=email, password_hash=OTHER_HASH, now=NOW
            )

    tokens = [await given(only=False), *await asyncio.gather(*(given(only=True) for _ in range(4)))]
    async with db.read(INSTANCE) as tx:
        opened = [token for token in tokens if await setup.setup_open(tx, INSTANCE, token=token, now=NOW)]
    assert len(opened) == 1
    two = [await given(only=False), opened[0]]  # another daemon has started meanwhile
    made = await asyncio.gather(
        *(used(token, f"u{n}@example.org") for n, token in enumerate(two)), return_exceptions=True
    )
    assert {type(each) for each in made} == {Membership, NotFound}
    with pytest.raises(Conflict, match="somebody can log in already"):
        await given(only=True)


async def test_the_base_url_is_the_operators(db: Database, scope: Scope, other: Scope) -> None:
    async with db.write(scope) as tx:
        for wrong in (
            "",
            "news.example.org",
            "ftp://x",
            "https://",
            "https://a b",
            "https://u@x",
            "https://x/?a",
        ):
            with pytest.raises(InvalidInput):
                await setup.set_base_url(tx, scope, url=wrong, now=NOW)
        for url in ("https://news.example.org/", "http://127.0.0.1:8025"):
            assert await setup.set_base_url(tx, scope, url=url, now=NOW) == url.rstrip("/")
    async with db.write(other) as tx:
        with pytest.raises(Forbidden, match="first organisation"):
            await setup.set_base_url(tx, other, url="https://evil.test", now=NOW)
    async with db.read(INSTANCE) as tx:
        assert await setup.base_url(tx, INSTANCE) == "http://127.0.0.1:8025"


async def test_an_organisation_is_renamed_by_who_manages_it(db: Database, scope: Scope, other: Scope) -> None:
    async with db.write(scope) as tx:
        tenant = await update_tenant(tx, scope, TenantChange(name=" New  name "), now=NOW)
        assert (tenant.name, tenant.country) == ("New name", "DE")
        with pytest.raises(InvalidInput):
            await update_tenant(tx, scope, TenantChange(country="XX"), now=NOW)
    viewer = Scope(scope.tenant_id, "user:1", frozenset())
    async with db.write(viewer) as tx:
        with pytest.raises(Forbidden):
            await update_tenant(tx, viewer, TenantChange(name="x"), now=NOW)
    async with db.read(INSTANCE) as tx:
        names = set(await tx.scalars(sa.select(col(Tenant.name))))
        assert names == {"New name", "Other"}
        assert await tx.scalar(sa.select(sa.func.count()).select_from(Membership)) == 0
