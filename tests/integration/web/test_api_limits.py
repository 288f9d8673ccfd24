"""Limits, warm-ups, quiet hours and reputation over the API: what they answer, who may, whose they are."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.domain.delivery import kill_switch
from mailengine.models import AuditEntry, Limit, Relay, Role, SendingDomain, WarmUp
from mailengine.runtime import Runtime
from support.browsing import advance
from support.house import INSTANCE

pytestmark = pytest.mark.anyio
LIMITS, WARM_UPS, QUIET, REPUTATION = (
    f"/api/v1/{path}" for path in ("limits", "warm-ups", "quiet-hours", "reputation")
)
NO_QUIET = {"starts": None, "ends": None, "time_zone": None, "quiet_until": None}


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


@pytest.fixture
async def api(client: httpx.AsyncClient, rt: Runtime, acme: Any, key: Any) -> httpx.AsyncClient:
    """A client with an admin's key of `acme`, which has a relay."""
    async with rt.db.write(acme.scope) as tx:
        now = rt.clock.now()
        tx.add(
            Relay(
                tenant_id=int(acme.scope.tenant_id),
                name="main",
                host="m.test",
                port=25,
                tls="none",
                created_at=now,
            )
        )
    client.headers.update(await key(acme.scope, Role.ADMIN))
    return client


async def test_limits_are_set_replaced_and_removed(api: httpx.AsyncClient, rt: Runtime, acme: Any) -> None:
    hour = {"amount": 500, "period": "hour"}
    made = await api.put(LIMITS, json=hour)
    assert made.status_code == 200, made.text
    whole = made.json()
    assert whole == {"id": whole["id"], "scope": "tenant", "target": None, "available": 25, **hour}
    through = (await api.put(LIMITS, json={"amount": 9, "period": "second", "relay": "main"})).json()
    assert (through["scope"], through["target"]) == ("relay", "main")
    to = (await api.put(LIMITS, json={"amount": 40, "period": "day", "provider": "Bücher.example"})).json()
    assert (to["scope"], to["target"]) == ("provider", "xn--bcher-kva.example")
    again = (await api.put(LIMITS, json=hour | {"amount": 1000})).json()
    assert again == whole | {"amount": 1000, "available": 50}
    assert (await api.get(LIMITS)).json() == {
        "items": [again, through, to], "total": 3, "next": None, "exact": True
    }  # fmt: skip
    assert (await api.delete(f"{LIMITS}/{through['id']}")).status_code == 204
    assert (await api.delete(f"{LIMITS}/{through['id']}")).status_code == 404
    assert [row["id"] for row in (await api.get(LIMITS)).json()["items"]] == [whole["id"], to["id"]]
    async with rt.db.read(acme.scope) as tx:
        mine = sa.select(col(AuditEntry.action)).where(
            col(AuditEntry.tenant_id) == acme.scope.tenant_id, col(AuditEntry.resource) == "limit"
        )
        assert list(await tx.scalars(mine)) == ["limit.set"] * 4 + ["limit.remove"]


async def test_warm_ups_are_started_and_ended(api: httpx.AsyncClient, rt: Runtime) -> None:
    made = await api.post(WARM_UPS, json={})
    assert made.status_code == 201, made.text
    whole = made.json()
    assert (whole["scope"], whole["target"], whole["day"]) == ("tenant", None, 1)
    assert (whole["amount"], whole["period"]) == (50, "hour")
    assert (await api.post(WARM_UPS, json={})).status_code == 409
    relay = (await api.post(WARM_UPS, json={"relay": "main"})).json()
    domain = (await api.post(WARM_UPS, json={"domain": "News.acme.test"})).json()
    assert [(row["scope"], row["target"], row["amount"], row["period"]) for row in (relay, domain)] == [
        ("relay", "main", 50, "day"), ("domain", "news.acme.test", 50, "day")
    ]  # fmt: skip
    advance(rt, days=8)
    listed = (await api.get(WARM_UPS)).json()["items"]
    assert [(row["day"], row["amount"], row["period"]) for row in listed] == [
        (9, None, None), (9, 950, "day"), (9, 950, "day")
    ]  # fmt: skip
    assert (listed[0]["changes_at"], listed[0]["ends_at"] < listed[1]["ends_at"]) == (None, True)
    begun = await api.post(WARM_UPS, json={})
    assert (begun.json()["id"], begun.json()["day"]) == (whole["id"], 1)
    assert (await api.delete(f"{WARM_UPS}/{domain['id']}")).status_code == 204
    assert (await api.delete(f"{WARM_UPS}/{domain['id']}")).status_code == 404
    assert [row["scope"] for row in (await api.get(WARM_UPS)).json()["items"]] == ["tenant", "relay"]


async def test_quiet_hours_are_set_and_cleared(api: httpx.AsyncClient, rt: Runtime) -> None:
    assert (await api.get(QUIET)).json() == NO_QUIET
    now = rt.clock.now()
    night = {"starts": f"{now:%H}:00", "ends": f"{(now.hour + 1) % 24:02}:00", "time_zone": "UTC"}
    made = await api.put(QUIET, json=night)
    assert made.status_code == 200, made.text
    assert made.json()["quiet_until"] is not None
    advance(rt, hours=2)
    assert (await api.get(QUIET)).json() == night | {"quiet_until": None}
    for _ in range(2):
        assert (await api.delete(QUIET)).status_code == 204
    assert (await api.get(QUIET)).json() == NO_QUIET


WRONG: tuple[tuple[str, str, Any], ...] = (
    ("PUT", LIMITS, {}), ("PUT", LIMITS, {"amount": 0, "period": "hour"}),
    ("PUT", LIMITS, {"amount": 10**10, "period": "hour"}), ("PUT", LIMITS, {"amount": 1.5, "period": "hour"}),
    ("PUT", LIMITS, {"amount": 1, "period": "week"}), ("PUT", LIMITS, {"amount": 1, "period": "day", "extra": 1}),
    ("PUT", LIMITS, {"amount": 1, "period": "day", "relay": "main", "provider": "google"}),
    ("PUT", LIMITS, {"amount": 1, "period": "day", "provider": "a b"}),
    ("PUT", LIMITS, {"amount": 1, "period": "day", "provider": "a\x00b"}),
    ("POST", WARM_UPS, {"relay": "main", "domain": "a.test"}), ("POST", WARM_UPS, {"domain": "no domain"}),
    ("POST", WARM_UPS, {"domain": "x" * 254}), ("POST", WARM_UPS, []),
    ("PUT", QUIET, {"starts": "25:00", "ends": "07:00"}), ("PUT", QUIET, {"starts": "22:00", "ends": "22:00"}),
    ("PUT", QUIET, {"starts": "22:00", "ends": "7"}), ("PUT", QUIET, {"starts": "22:00"}),
    ("PUT", QUIET, {"starts": "22:00", "ends": "07:00", "time_zone": "Mars/Olympus"}),
    ("PUT", QUIET, {"starts": "22:00", "ends": "07:00", "time_zone": "../../etc/passwd"}),
)  # fmt: skip


async def test_what_cannot_be_is_refused(api: httpx.AsyncClient) -> None:
    for method, path, body in WRONG:
        answer = await api.request(method, path, json=body)
        assert answer.status_code == 400, (method, path, body, answer.text)
    for path, body in ((LIMITS, {"amount": 1, "period": "day"}), (WARM_UPS, {})):
        answer = await api.request("PUT" if path == LIMITS else "POST", path, json=body | {"relay": "none"})
        assert answer.status_code == 404, answer.text
        assert (await api.get(path)).json()["items"] == []


async def test_an_editor_reads_and_another_organisation_sees_nothing(
    api: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    limit = (await api.put(LIMITS, json={"amount": 5, "period": "day"})).json()
    warm_up = (await api.post(WARM_UPS, json={})).json()
    await api.put(QUIET, json={"starts": "22:00", "ends": "07:00"})
    editor, theirs = await key(acme.scope, Role.EDITOR), await key(other.scope, Role.OWNER)
    for headers, status in ((editor, 403), (theirs, 404)):
        for path in (f"{LIMITS}/{limit['id']}", f"{WARM_UPS}/{warm_up['id']}"):
            assert (await api.delete(path, headers=headers)).status_code == status, path
    for method, path, body in (
        ("PUT", LIMITS, {"amount": 1, "period": "day"}), ("POST", WARM_UPS, {}), ("DELETE", QUIET, None)
    ):  # fmt: skip
        assert (await api.request(method, path, json=body, headers=editor)).status_code == 403, path
    assert (await api.get(LIMITS, headers=editor)).json()["items"] == [limit]
    for path in (LIMITS, WARM_UPS):
        assert (await api.get(path, headers=theirs)).json()["items"] == []
    assert (await api.get(QUIET, headers=theirs)).json() == NO_QUIET
    refused = await api.put(LIMITS, json={"amount": 1, "period": "day", "relay": "main"}, headers=theirs)
    assert refused.status_code == 404
    assert (await api.delete(QUIET, headers=theirs)).status_code == 204
    assert (await api.get(QUIET)).json()["starts"] == "22:00"
    async with rt.db.read(INSTANCE) as tx:
        for table in (Limit, WarmUp):
            assert await tx.scalar(sa.select(sa.func.count()).select_from(table)) == 1


async def test_reputation_is_that_of_the_organisation(
    api: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any, key: Any
) -> None:
    async with rt.db.write(acme.scope) as tx:
        now = rt.clock.now()
        await kill_switch.stop(tx, acme.scope, reason="bounce rate 7 %", now=now)
        domain = {"tenant_id": int(acme.scope.tenant_id), "domain": "acme.test", "created_at": now}
        tx.add(SendingDomain(**domain, verified_at=now))
    found = (await api.get(REPUTATION)).json()
    assert (found["standing"], found["lane"], found["sent"], found["bounces"]) == ("ok", "normal", 1, 0)
    assert found["suspended"]["reason"] == "bounce rate 7 %"
    signs = found["health"]
    assert (signs["bounces"], signs["bounce_rate"], signs["opens"]) == (None, None, None), (
        "one message says nothing"
    )
    assert (signs["domains"], signs["sending_domains"], signs["verified_domains"]) == ("green", 1, 1)
    theirs = (await api.get(REPUTATION, headers=await key(other.scope, Role.VIEWER))).json()
    assert (theirs["suspended"], theirs["health"]["domains"]) == (None, "red")
