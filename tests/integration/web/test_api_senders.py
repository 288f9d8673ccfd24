"""Relays and sending domains over the API: the password goes in and never comes out, tests are counted, whose they
are, and what cannot be stored."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.domain.delivery.health import note
from mailengine.models import AuditEntry, Campaign, CampaignState, DkimKey, Relay, Role
from mailengine.runtime import Runtime
from peers.catcher import Catcher
from peers.dns_zone import DnsZone
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
RELAYS, DOMAINS = "/api/v1/relays", "/api/v1/sending-domains"
SECRET = "p4ss <word> 7f3a"
SERVER = {"name": "main", "host": "Mail.Example.org", "username": "acme", "password": SECRET}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
def rt(make_runtime: Callable[..., Runtime], dns_zone: DnsZone) -> Runtime:
    asked = {"nameservers": (dns_zone.host,), "port": dns_zone.port, "timeout_seconds": 1}
    return make_runtime(dns=asked)


@pytest.fixture
async def api(client: httpx.AsyncClient, acme: Any, key: Any) -> httpx.AsyncClient:
    """A client with an admin's key of `acme`."""
    client.headers.update(await key(acme.scope, Role.ADMIN))
    return client


async def test_a_relay_is_added_changed_and_removed(api: httpx.AsyncClient, rt: Runtime, acme: Any) -> None:
    made = await api.post(RELAYS, json=SERVER)
    assert made.status_code == 201, made.text
    relay = made.json()
    assert (relay["host"], relay["port"], relay["tls"], relay["username"]) == (
        "mail.example.org", 587, "starttls", "acme"
    )  # fmt: skip
    one = f"{RELAYS}/{relay['id']}"
    assert (await api.get(one)).json() == relay
    assert (await api.get(RELAYS)).json()["items"] == [relay]
    assert (await api.post(RELAYS, json=SERVER)).status_code == 409
    sealed = await stored(rt, Relay.password_sealed)
    changed = await api.patch(one, json={"weight": 3, "enabled": False, "password": SECRET + "2"})
    assert (changed.json()["weight"], changed.json()["enabled"], changed.json()["priority"]) == (3, False, 0)
    assert await stored(rt, Relay.password_sealed) != sealed
    assert (await api.patch(one, json={"password": SECRET})).json() == changed.json()
    for body in (
        {},
        {"password": ""},
        {"weight": 0},
        {"weight": 1001},
        {"host": "b.example.org"},
    ):
        answer = await api.patch(one, json=body)
        assert answer.status_code == 400, (body, answer.text)
    answers = [made, changed, await api.get(one), await api.get(RELAYS), await api.get("/api/v1/audit")]
    for answer in answers:
        assert "password" not in answer.json()
        assert SECRET not in answer.text
        assert "sealed" not in answer.text
    async with rt.db.read(INSTANCE) as tx:
        assert SECRET not in repr([row.model_dump() for row in await tx.scalars(sa.select(AuditEntry))])
    direct = {"name": "own", "kind": "direct", "helo": "out.example.org", "source_address": "192.0.2.1"}
    assert (await api.post(RELAYS, json=direct)).json()["kind"] == "direct"
    await under_way(rt, acme, relay["id"])
    assert (await api.delete(one)).status_code == 409
    await under_way(rt, acme, None)
    assert (await api.delete(one)).status_code == 204
    assert (await api.get(one)).status_code == 404


async def stored(rt: Runtime, column: Any) -> Any:
    async with rt.db.read(INSTANCE) as tx:
        return await tx.scalar(sa.select(column))


async def test_a_relays_trouble_is_told_until_it_takes_a_message(
    api: httpx.AsyncClient, rt: Runtime, acme: Any, catcher: Catcher
) -> None:
    server = {"name": "main", "host": catcher.host, "port": catcher.port, "tls": "none"}
    one = f"{RELAYS}/{(await api.post(RELAYS, json=server)).json()['id']}"
    relay = (await api.get(one)).json()
    assert (relay["trouble"], relay["trouble_at"]) == ("", None)
    async with rt.db.write(acme.scope) as tx:
        await note(tx, acme.scope, relay_id=relay["id"], words="421 not now", now=rt.clock.now())
    told = (await api.get(one)).json()
    assert (told["trouble"], told["trouble_at"] is None) == ("421 not now", False)
    await api.post(f"{one}/test", json={})
    assert (await api.get(one)).json() == told
    await api.post(f"{one}/test", json={"sender": "news@acme.test", "recipient": "bob@example.org"})
    assert (await api.get(one)).json() == relay


async def under_way(rt: Runtime, acme: Any, relay_id: int | None) -> None:
    """The campaign is paused and needs the relay; None: it has ended."""
    state = CampaignState.PAUSED if relay_id else CampaignState.SENT
    async with rt.db.write(INSTANCE) as tx:
        chosen = sa.update(Campaign).where(col(Campaign.id) == acme.campaign_id)
        await tx.execute(chosen.values(state=state, relay_id=relay_id))


WRONG_RELAYS: tuple[Any, ...] = (
    {}, [], {"name": "x"}, {"host": "a.test"}, {**SERVER, "name": ""}, {**SERVER, "name": "x" * 101},
    {**SERVER, "host": "http://169.254.169.254/latest"}, {**SERVER, "host": "a b"}, {**SERVER, "host": "a\x00b"},
    {**SERVER, "host": "1.2.3"}, {**SERVER, "host": "x" * 254}, {**SERVER, "port": 0}, {**SERVER, "port": 65536},
    {**SERVER, "tls": "ssl"}, {**SERVER, "tls": "none"}, {**SERVER, "password": ""}, {**SERVER, "username": ""},
    {**SERVER, "password": "a\r\nQUIT"}, {**SERVER, "username": "a\nb"}, {**SERVER, "username": "x" * 321},
    {**SERVER, "password": "x" * 4001}, {**SERVER, "helo": "x.test"}, {**SERVER, "kind": "direct"},
    {**SERVER, "auth": "plain"}, {**SERVER, "priority": -1}, {**SERVER, "enabled": False}, {**SERVER, "id": 1},
    {"name": "x", "kind": "direct"}, {"name": "x", "kind": "direct", "helo": "x.test", "source_address": "here"},
)  # fmt: skip


async def test_relays_that_cannot_be(api: httpx.AsyncClient) -> None:
    for body in WRONG_RELAYS:
        answer = await api.post(RELAYS, json=body)
        assert answer.status_code == 400, (body, answer.text)
        assert SECRET not in answer.text
    assert (await api.get(RELAYS)).json()["total"] == 0


async def test_a_relay_is_tested_twenty_times_an_hour(
    api: httpx.AsyncClient, rt: Runtime, catcher: Catcher
) -> None:
    server = {"name": "main", "host": catcher.host, "port": catcher.port, "tls": "none"}
    works = f"{RELAYS}/{(await api.post(RELAYS, json=server)).json()['id']}/test"
    tried = await api.post(works, json={})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["ok"], tried.json()["steps"][0]["name"]) == (True, "connect")
    sent = await api.post(works, json={"sender": "news@acme.test", "recipient": "bob@example.org"})
    assert sent.json()["ok"], sent.text
    assert len(catcher.messages_for("bob@example.org")) == 1
    broken = {**SERVER, "name": "broken", "host": "127.0.0.1", "port": 1}
    fails = f"{RELAYS}/{(await api.post(RELAYS, json=broken)).json()['id']}/test"
    failed = await api.post(fails, json={})
    assert (failed.status_code, failed.json()["ok"]) == (200, False)
    assert SECRET not in failed.text
    for body in ({"sender": "a@b.test"}, {"sender": "a@b.test", "recipient": "nobody"}, {"host": "x"}, []):
        assert (await api.post(fails, json=body)).status_code == 400, body
    statuses = [(await api.post(fails, json={})).status_code for _ in range(18)]
    assert statuses == [200] * 17 + [429]
    assert (await api.post(works, json={})).headers["retry-after"] == "180"


async def test_a_domain_is_verified_when_its_records_stand_in_the_dns(
    api: httpx.AsyncClient, rt: Runtime, dns_zone: DnsZone
) -> None:
    await api.post(RELAYS, json=SERVER)
    made = await api.post(DOMAINS, json={"domain": "Acme.Example."})
    assert made.status_code == 201, made.text
    one, records = f"{DOMAINS}/acme.example", made.json()["records"]
    assert [record["purpose"] for record in records] == ["SPF", "DKIM", "DMARC"]
    assert "a:mail.example.org" in records[0]["value"]
    assert (await api.get(one)).json() == made.json()
    open_ = await api.post(f"{one}/verify")
    assert open_.json()["verified_at"] is None
    assert {check: verdict["status"] for check, verdict in open_.json()["checks"].items()} == {
        "spf": "fail", "dkim": "fail", "dmarc": "fail"
    }  # fmt: skip
    for record in records:
        pieces = [record["value"][at : at + 200] for at in range(0, len(record["value"]), 200)]
        dns_zone.records[record["name"]] = [("TXT", " ".join(f'"{piece}"' for piece in pieces))]
    verified = await api.post(f"{one}/verify")
    assert verified.json()["verified_at"], verified.text
    assert (await api.get(DOMAINS)).json()["items"] == [verified.json()]
    assert (await api.post(DOMAINS, json={"domain": "acme.example"})).status_code == 409
    private = await stored(rt, DkimKey.private_sealed)
    for answer in (made, verified, await api.get(one)):
        assert private not in answer.text
        assert "PRIVATE" not in answer.text
    assert (await api.delete(one)).status_code == 204
    for method, path in (("GET", one), ("DELETE", one), ("POST", f"{one}/verify")):
        assert (await api.request(method, path)).status_code == 404
    for body in (
        {},
        {"domain": ""},
        {"domain": "no domain"},
        {"domain": "a\x00.test"},
        {"domain": "x" * 256},
        [],
        "x",
    ):
        assert (await api.post(DOMAINS, json=body)).status_code == 400, body


async def test_senders_of_the_other_organisation_and_with_too_low_a_role(
    api: httpx.AsyncClient, acme: Any, other: Any, key: Any
) -> None:
    theirs, editor = await key(other.scope, Role.OWNER), await key(acme.scope, Role.EDITOR)
    relay = (await api.post(RELAYS, json=SERVER)).json()["id"]
    await api.post(DOMAINS, json={"domain": "acme.example"})
    for method, path, body in (
        ("GET", f"{RELAYS}/{relay}", None), ("PATCH", f"{RELAYS}/{relay}", {"weight": 2}),
        ("DELETE", f"{RELAYS}/{relay}", None),
        ("POST", f"{RELAYS}/{relay}/test", {}), ("GET", f"{DOMAINS}/acme.example", None),
        ("POST", f"{DOMAINS}/acme.example/verify", None), ("DELETE", f"{DOMAINS}/acme.example", None),
    ):  # fmt: skip
        assert (await api.request(method, path, json=body, headers=theirs)).status_code == 404, path
        if method != "GET":
            assert (await api.request(method, path, json=body, headers=editor)).status_code == 403, path
    for path, body in ((RELAYS, {**SERVER, "name": "x"}), (DOMAINS, {"domain": "x.example"})):
        assert (await api.post(path, json=body, headers=editor)).status_code == 403
        assert (await api.get(path, headers=theirs)).json()["total"] == 0
        assert (await api.get(path)).json()["total"] == 1
