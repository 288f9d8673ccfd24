"""Single sign-on against a real provider library: there and back, and every way in which somebody else comes back."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.config import load_settings
from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.domain.accounts.openid.fetching import Fetcher
from mailengine.domain.accounts.openid.provider import claims_of
from mailengine.models import Identity, User
from mailengine.runtime import Runtime
from peers.identity_provider import IdentityProvider
from support.browsing import advance, token_on
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
OWNER = "owner@acme.test"
SESSION = "mailengine_session"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    return sqlite_dsn


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    started = IdentityProvider(tmp_path_factory.mktemp("provider") / "log")
    yield started
    started.stop()


@pytest.fixture
def house(make_runtime: Any, provider: IdentityProvider) -> Runtime:
    oidc = {"issuer": provider.issuer, "client_id": "us", "client_secret": "s3cret", "private_hosts": True}
    rt: Runtime = make_runtime(oidc={**oidc, "name": "Keycloak"})
    rt.clock.advance(datetime.now(UTC) - rt.clock.now())  # type: ignore[attr-defined]  # the provider's clock
    return rt


@pytest.fixture
async def visitor(house: Runtime, visit: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with visit(house) as client:
        yield client


async def leave(client: httpx.AsyncClient, next_path: str = "/team") -> str:
    """Where the browser is sent."""
    answer = await client.get("/oidc/login", params={"next": next_path})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def come_back(client: httpx.AsyncClient, url: str) -> httpx.Response:
    return await client.get(url.removeprefix("http://127.0.0.1:8025"))


async def test_there_and_back(visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any):
    provider.know("s-1", email=OWNER, email_verified=True)
    assert "Log in with Keycloak" in (await visitor.get("/login")).text
    url = await leave(visitor)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (
        "code",
        "S256",
        "openid email",
    )
    assert asked["redirect_uri"] == "http://127.0.0.1:8025/oidc/callback"
    assert len(asked["nonce"]) == len(asked["state"]) == len(asked["code_challenge"]) == 43
    back = provider.authorise(url, "s-1")
    inside = await come_back(visitor, back)
    assert (inside.status_code, inside.headers["location"]) == (303, "/team"), inside.text
    assert OWNER in (await visitor.get("/team")).text
    assert (await come_back(visitor, back)).status_code == 403, "a second time the answer is worth nothing"
    async with house.db.read(INSTANCE) as tx:
        tied = (await tx.scalars(sa.select(Identity))).one()
    assert (tied.issuer, tied.subject) == (provider.issuer, "s-1")


async def test_the_subject_counts_from_then_on(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    provider.know("s-2", email=OWNER, email_verified=True)
    await come_back(visitor, provider.authorise(await leave(visitor), "s-2"))
    provider.know("s-2", email="else@x.test", email_verified=False)
    visitor.cookies.clear()
    again = await come_back(visitor, provider.authorise(await leave(visitor), "s-2"))
    assert again.status_code == 303
    assert OWNER in (await visitor.get("/team")).text


@pytest.mark.parametrize(
    "claims",
    [
        {"email": OWNER},
        {"email": OWNER, "email_verified": False},
        {"email": OWNER, "email_verified": "no"},
        {"email": "stranger@x.test", "email_verified": True},
        {},
    ],
)
async def test_an_address_that_nobody_confirmed_opens_nothing(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any, claims: dict[str, Any]
):
    provider.know("s-3", **claims)
    refused = await come_back(visitor, provider.authorise(await leave(visitor), "s-3"))
    assert (refused.status_code, "no account for you" in refused.text) == (403, True)
    assert SESSION not in visitor.cookies
    async with house.db.read(INSTANCE) as tx:
        assert (await tx.scalars(sa.select(Identity))).all() == []


async def test_only_the_browser_that_left_comes_back(
    visitor: Any, visit: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    """Login CSRF: an attacker who sends their own answer to somebody logs nobody in to the attacker's account."""
    provider.know("s-4", email=OWNER, email_verified=True)
    async with visit(house) as attacker:
        theirs = provider.authorise(await leave(attacker), "s-4")
    assert (await come_back(visitor, theirs)).status_code == 403
    await leave(visitor)
    assert (await come_back(visitor, theirs)).status_code == 403, "another login's state"
    mine = provider.authorise(await leave(visitor), "s-4")
    for changed in (mine.replace("state=", "state=x"), mine + "&iss=https%3A%2F%2Fevil.test"):
        await leave(visitor)
        assert (await come_back(visitor, changed)).status_code == 403
    assert SESSION not in visitor.cookies


async def test_a_code_needs_the_verifier_of_its_login(
    visitor: Any, visit: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    """A code that was stolen from another login's answer: PKCE or the nonce gives it away."""
    provider.know("s-5", email=OWNER, email_verified=True)
    async with visit(house) as victim:
        stolen = parse_qs(urlsplit(provider.authorise(await leave(victim), "s-5")).query)["code"][0]
    state = parse_qs(urlsplit(await leave(visitor)).query)["state"][0]
    refused = await visitor.get("/oidc/callback", params={"code": stolen, "state": state})
    assert refused.status_code in (403, 503)
    assert SESSION not in visitor.cookies


async def test_whoever_has_no_password_proves_it_at_the_provider(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    provider.know("s-9", email=OWNER, email_verified=True)
    await come_back(visitor, provider.authorise(await leave(visitor), "s-9"))
    old = visitor.cookies[SESSION]
    advance(house, minutes=11)
    stop = {"to": "on", "reason": "x", "_csrf_token": await token_on(visitor, "/account")}
    asked = await visitor.post("/delivery/kill-switch", data=stop)
    page = (await visitor.get(asked.headers["location"])).text
    assert "Log in again with Keycloak" in page
    again = re.search(r'href="(/oidc/login\?next=[^"]+)"', page)
    assert again is not None
    back = provider.authorise((await visitor.get(again[1])).headers["location"], "s-9")
    assert (await come_back(visitor, back)).status_code == 303
    assert visitor.cookies[SESSION] != old
    stop["_csrf_token"] = await token_on(visitor, "/account")
    assert (await visitor.post("/delivery/kill-switch", data=stop)).headers["location"] == "/delivery"


async def test_it_takes_ten_minutes_at_most(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    provider.know("s-6", email=OWNER, email_verified=True)
    back = provider.authorise(await leave(visitor), "s-6")
    advance(house, minutes=11)
    assert (await come_back(visitor, back)).status_code == 403


async def test_a_refusal_and_an_open_redirect(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    url = await leave(visitor, "//evil.test")
    state = parse_qs(urlsplit(url).query)["state"][0]
    denied = await visitor.get("/oidc/callback", params={"error": "access_denied", "state": state})
    assert (denied.status_code, "did not let you in" in denied.text) == (403, True)
    provider.know("s-7", email=OWNER, email_verified=True)
    inside = await come_back(visitor, provider.authorise(await leave(visitor, "//evil.test"), "s-7"))
    assert inside.headers["location"] == "/"


async def test_our_second_factor_is_asked_for_all_the_same(
    visitor: Any, house: Runtime, provider: IdentityProvider, acme: Any
):
    provider.know("s-8", email=OWNER, email_verified=True)
    async with house.db.write(INSTANCE) as tx:
        user = col(User.email) == OWNER
        await tx.execute(sa.update(User).where(user).values(totp_since=house.clock.now(), totp_sealed="x"))
    asked = await come_back(visitor, provider.authorise(await leave(visitor), "s-8"))
    assert asked.headers["location"].startswith("/login/code")
    assert SESSION not in visitor.cookies


async def test_a_provider_that_is_gone_or_another_one(
    make_runtime: Any, visit: Any, provider: IdentityProvider, acme: Any
):
    for issuer in ("http://127.0.0.1:9", provider.issuer + "/"):
        rt = make_runtime(oidc={"issuer": issuer, "client_id": "us", "private_hosts": True})
        async with visit(rt) as client:
            answer = await client.get("/oidc/login")
            assert (answer.status_code, "does not answer as it should" in answer.text) == (503, True)


async def test_without_a_provider_there_is_no_such_page(client: Any):
    assert (await client.get("/oidc/login")).status_code == 404
    assert (await client.get("/oidc/callback")).status_code == 404
    assert "single sign-on" not in (await client.get("/login")).text


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x", "https://127.0.0.1:9/x", "https://[::ffff:10.0.0.1]/x", "file:///etc/passwd"],
)
async def test_a_neighbour_is_not_asked_unless_allowed(url: str):
    with pytest.raises(Unavailable):
        await Fetcher(private=False).get(url)


def test_settings_are_whole() -> None:
    for sections in ({"oidc": {"issuer": "https://a.test"}}, {"jwt": {"issuer": "https://a.test"}}):
        with pytest.raises(InvalidInput, match="needs"):
            load_settings(**sections)


def test_only_a_clear_yes_confirms_an_address() -> None:
    for said, email in ((True, "a@b.test"), ("true", "a@b.test"), ("yes", ""), ([], ""), (None, "")):
        assert claims_of("i", {"sub": "x", "email": "a@b.test", "email_verified": said}).email == email
