"""Bearer tokens of an issuer: those that are right, and everything that looks like one."""

import base64
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from sqlmodel import col

from mailengine.domain.accounts import identities
from mailengine.models import Membership, User
from mailengine.runtime import Runtime
from support.browsing import advance
from support.house import INSTANCE

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE, OWNER = "https://id.example.org", "mailengine", "owner@acme.test"


class KeyServer:
    """Serves `keys` as a JWKS; counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": outer.keys}).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    return sqlite_dsn


@pytest.fixture(scope="module")
def signing_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@pytest.fixture
def key_server(signing_key: RSAKey) -> Iterator[KeyServer]:
    server = KeyServer()
    server.keys = [signing_key.as_dict(private=False)]
    yield server
    server.stop()


@pytest.fixture
def house(make_runtime: Any, key_server: KeyServer) -> Runtime:
    found: Runtime = make_runtime(
        jwt={"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": key_server.url, "private_hosts": True}
    )
    return found


@pytest.fixture
async def api(house: Runtime, visit: Any, acme: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with visit(house) as client:
        yield client


def claims(rt: Runtime, **changes: Any) -> dict[str, Any]:
    now = int(rt.clock.now().timestamp())
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "s-1",
        "email": OWNER,
        "email_verified": True,
        "exp": now + 300,
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def signed(key: Any, content: dict[str, Any], **header: Any) -> str:
    return jwt.encode(
        {"alg": "RS256", "kid": key.kid, **header}, content, key, algorithms=[header.get("alg", "RS256")]
    )


async def get(api: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await api.get("/api/v1/lists", headers={"Authorization": f"Bearer {token}", **headers})


async def test_a_right_token_acts_as_its_user(
    api: Any, house: Runtime, signing_key: RSAKey, acme: Any, other: Any
):
    token = signed(signing_key, claims(house, aud=["else", AUDIENCE]))
    answer = await get(api, token)
    assert answer.status_code == 200, answer.text
    assert [row["name"] for row in answer.json()["items"]] == ["acme customers"]
    made = await api.post("/api/v1/lists", json={"name": "X"}, headers={"Authorization": f"Bearer {token}"})
    assert made.status_code == 201, "no CSRF token: no browser sends this by itself"
    for slug in ("other", "nobody"):
        refused = await get(api, token, **{"X-Tenant": slug})
        assert (refused.status_code, refused.json()["detail"]) == (
            401, "the user of this token is in no such organisation",
        )  # fmt: skip
    assert (await get(api, token, **{"X-Tenant": "acme"})).status_code == 200


async def test_the_role_is_todays(api: Any, house: Runtime, signing_key: RSAKey, acme: Any):
    token = signed(signing_key, claims(house))
    assert (await get(api, token)).status_code == 200
    async with house.db.write(INSTANCE) as tx:
        await tx.execute(sa.update(Membership).values(role="viewer"))
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.post("/api/v1/lists", json={"name": "X"}, headers=headers)).status_code == 403
    async with house.db.write(INSTANCE) as tx:
        await tx.execute(sa.delete(Membership))
    assert (await get(api, token)).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"nbf": 9_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"email_verified": False},
        {"email": "stranger@x.test"},
    ],
    ids=str,
)
async def test_wrong_claims_are_refused(
    api: Any, house: Runtime, signing_key: RSAKey, changes: dict[str, Any]
):
    answer = await get(api, signed(signing_key, claims(house, **changes)))
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_wrong_signatures_are_refused(
    api: Any, house: Runtime, signing_key: RSAKey, key_server: KeyServer
):
    good = claims(house)
    head, body, signature = signed(signing_key, good).split(".")
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    confused = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{body}"
    shared = hmac.digest(signing_key.as_pem(private=False), confused.encode(), "sha256")
    evil = {**good, "email": "owner@other.test", "sub": "s-9"}
    wrong = {
        "alg none": f"{b64({'alg': 'none'})}.{body}.",
        "alg None": f"{b64({'alg': 'None', 'kid': 'one'})}.{body}.",
        "none with the signature": f"{b64({'alg': 'none', 'kid': 'one'})}.{body}.{signature}",
        "the public key as a shared secret": f"{confused}.{base64.urlsafe_b64encode(shared).decode().rstrip('=')}",
        "another key under the same name": signed(stranger, good),
        "another body": f"{head}.{b64(evil)}.{signature}",
        "no signature": f"{head}.{body}.",
        "a key that comes along": signed(stranger, good, kid="two", jwk=stranger.as_dict(private=False)),
        "two dots": "..",
        "no token": "a.b.c",
        "no JSON": f"{b64('x')}.{b64('y')}.z",
    }
    for name, token in wrong.items():
        assert (await get(api, token)).status_code == 401, name
    assert key_server.asked <= 2, "made-up keys make no flood of questions"
    assert (await get(api, signed(signing_key, good))).status_code == 200


async def test_expiry_by_the_clock(api: Any, house: Runtime, signing_key: RSAKey):
    token = signed(signing_key, claims(house))
    advance(house, minutes=5, seconds=50)
    assert (await get(api, token)).status_code == 200, "two clocks may differ by a minute"
    advance(house, seconds=20)
    assert (await get(api, token)).status_code == 401


async def test_keys_are_rotated(api: Any, house: Runtime, signing_key: RSAKey, key_server: KeyServer):
    assert (await get(api, signed(signing_key, claims(house)))).status_code == 200
    new = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
    key_server.keys = [new.as_dict(private=False)]
    advance(house, seconds=31)
    assert (await get(api, signed(new, claims(house), alg="ES256"))).status_code == 200
    assert (await get(api, signed(signing_key, claims(house)))).status_code == 401, "the old key is gone"


async def test_an_issuer_that_is_gone_is_no_open_door(
    make_runtime: Any, visit: Any, signing_key: RSAKey, acme: Any
):
    rt = make_runtime(
        jwt={"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "http://127.0.0.1:9/", "private_hosts": True}
    )
    async with visit(rt) as client:
        assert (await get(client, signed(signing_key, claims(rt)))).status_code == 503


async def test_a_program_without_an_address_is_tied_by_the_operator(
    api: Any, house: Runtime, signing_key: RSAKey
):
    token = signed(signing_key, claims(house, email=None, email_verified=None, sub="robot"))
    assert (await get(api, token)).status_code == 401
    async with house.db.write(INSTANCE) as tx:
        user = (await tx.scalars(sa.select(col(User.id)).where(col(User.email) == OWNER))).one()
        await identities.tie(
            tx, INSTANCE, user_id=user or 0, issuer=ISSUER, subject="robot", now=house.clock.now()
        )
    assert (await get(api, token)).status_code == 200
