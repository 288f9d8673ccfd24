"""What the identity provider's answer must be: ID tokens that are wrong in one thing each, PKCE, and the address."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import RSAKey

from mailengine.models import Identity
from mailengine.runtime import Runtime
from peers.lying_provider import LyingProvider
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
OWNER, SESSION, SECRET = "owner@acme.test", "mailengine_session", "s3cret-of-the-client"


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    return sqlite_dsn


@pytest.fixture(scope="module")
def signing_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@pytest.fixture(scope="module")
def provider(signing_key: RSAKey) -> Iterator[LyingProvider]:
    started = LyingProvider([signing_key.as_dict(private=False)])
    yield started
    started.stop()


@pytest.fixture
def house(make_runtime: Any, provider: LyingProvider) -> Runtime:
    oidc = {"issuer": provider.issuer, "client_id": "us", "client_secret": SECRET, "private_hosts": True}
    found: Runtime = make_runtime(oidc=oidc)
    return found


@pytest.fixture
async def visitor(house: Runtime, visit: Any, acme: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with visit(house) as client:
        yield client


async def leave(visitor: httpx.AsyncClient) -> dict[str, str]:
    """What the browser takes to the provider."""
    location = (await visitor.get("/oidc/login")).headers["location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def come_back(visitor: httpx.AsyncClient, asked: dict[str, str]) -> httpx.Response:
    return await visitor.get("/oidc/callback", params={"code": "c0de", "state": asked["state"]})


def signed(key: Any, claims: dict[str, Any], **header: Any) -> str:
    whole = {"alg": "RS256", "kid": "one", **header}
    return jwt.encode(whole, claims, key, algorithms=[whole["alg"]])


def b64(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def wrong_tokens(key: RSAKey, stranger: RSAKey, good: dict[str, Any]) -> dict[str, str]:
    """Each is wrong in one thing."""
    now = good["exp"] - 300
    changed = {
        "another login's nonce": {"nonce": "A" * 43}, "no nonce": {"nonce": None}, "nonce of a kind": {"nonce": [1]},
        "another audience": {"aud": "them"}, "no audience": {"aud": None}, "another issuer": {"iss": "https://evil.test"},
        "expired": {"exp": now - 61}, "no end": {"exp": None}, "not yet": {"nbf": now + 600}, "nobody": {"sub": None},
    }  # fmt: skip
    head, body, signature = signed(key, good).split(".")
    confused = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{body}"
    by_secret, by_public_key = (
        f"{confused}.{b64(hmac.digest(secret, confused.encode(), 'sha256'))}"
        for secret in (SECRET.encode(), key.as_pem(private=False))
    )
    return {
        **{
            name: signed(key, {field: value for field, value in {**good, **change}.items() if value is not None})
            for name, change in changed.items()
        },
        "alg none": f"{b64({'alg': 'none'})}.{body}.",
        "alg none with the signature": f"{b64({'alg': 'none', 'kid': 'one'})}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "the client's secret as the key": by_secret,
        "the public key as the secret": by_public_key,
        "another key of that name": signed(stranger, good),
        "a key that is not known": signed(stranger, good, kid="two", jwk=stranger.as_dict(private=False)),
        "another body": f"{head}.{b64({**good, 'sub': 'else'})}.{signature}",
        "nothing": "",
    }  # fmt: skip


async def test_an_id_token_that_is_wrong_in_one_thing_opens_nothing(
    visitor: Any, house: Runtime, provider: LyingProvider, signing_key: RSAKey
) -> None:
    good = {"iss": provider.issuer, "aud": "us", "sub": "s-1", "email": OWNER, "email_verified": True}
    good["exp"] = int(house.clock.now().timestamp()) + 300
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    for name in wrong_tokens(signing_key, stranger, {**good, "nonce": ""}):
        asked = await leave(visitor)
        token = wrong_tokens(signing_key, stranger, {**good, "nonce": asked["nonce"]})[name]
        provider.token_answer = {"id_token": token}
        refused = await come_back(visitor, asked)
        assert (refused.status_code, SESSION in visitor.cookies) == (403, False), name
    async with house.db.read(INSTANCE) as tx:
        assert (await tx.scalars(sa.select(Identity))).all() == []
    asked = await leave(visitor)
    provider.token_answer = {"id_token": signed(signing_key, {**good, "nonce": asked["nonce"]})}
    inside = await come_back(visitor, asked)
    assert (inside.status_code, SESSION in visitor.cookies) == (303, True), "the right one does"
    challenge = b64(hashlib.sha256(provider.asked["code_verifier"].encode()).digest())
    assert (challenge, asked["code_challenge_method"]) == (asked["code_challenge"], "S256")
    assert 43 <= len(provider.asked["code_verifier"]) <= 128, "RFC 7636, section 4.1"


async def test_the_address_may_come_from_the_user_info_of_the_same_person_only(
    visitor: Any, house: Runtime, provider: LyingProvider, signing_key: RSAKey
) -> None:
    whole = {"iss": provider.issuer, "aud": "us", "sub": "s-1"}
    whole["exp"] = int(house.clock.now().timestamp()) + 300
    theirs = {"email": OWNER, "email_verified": True}
    for told, status in (
        ({"sub": "s-2", **theirs}, 403), (theirs, 403), ({"sub": "s-1", "email": OWNER}, 403),
        ({"sub": "s-1", **theirs}, 303),
    ):  # fmt: skip
        asked = await leave(visitor)
        provider.user_info = told
        provider.token_answer = {
            "id_token": signed(signing_key, {**whole, "nonce": asked["nonce"]}), "access_token": "t",
        }  # fmt: skip
        assert (await come_back(visitor, asked)).status_code == status, told
