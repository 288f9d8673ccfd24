"""Relays: sealed, per tenant, kept while a campaign needs them."""

import pytest
import sqlalchemy as sa

from mailengine.core.config import Settings, WorkerSettings
from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from mailengine.core.scope import ROLE_GRANTS, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery.transport import endpoint_of
from mailengine.domain.senders import relays
from mailengine.models import AuditEntry, Campaign, Relay, RelayAuth, Tls
from support.house import INSTANCE, KEYRING, NOW, add_campaign

pytestmark = pytest.mark.anyio


async def add(db: Database, scope: Scope, name: str = "main", password: str = "hunter2") -> Relay:
    details = relays.check_relay(
        name=name, host="smtp.example.org", port=465, tls=Tls.TLS, username="me", password=password
    )
    async with db.write(scope) as tx:
        return await relays.add(tx, scope, details=details, keyring=KEYRING, now=NOW)


async def test_a_relay_becomes_an_endpoint(db: Database, scope: Scope) -> None:
    relay = await add(db, scope)
    assert "hunter2" not in repr(relay)
    settings = Settings(worker=WorkerSettings(command_timeout_seconds=7, data_timeout_seconds=8))
    endpoint = endpoint_of(relay, KEYRING, settings)
    assert (endpoint.host, endpoint.port, endpoint.tls) == ("smtp.example.org", 465, "tls")
    assert (endpoint.username, endpoint.password) == ("me", "hunter2")
    assert (endpoint.command_timeout_seconds, endpoint.data_timeout_seconds) == (7, 8)
    assert "hunter2" not in repr(endpoint)
    with pytest.raises(Unavailable, match="sealed with another secret"):
        endpoint_of(relay, Keyring(b"x" * 32), settings)


async def test_the_next_access_token_takes_the_place_of_the_last(
    db: Database, scope: Scope, other: Scope
) -> None:
    details = relays.check_relay(
        name="main", host="smtp.example.org", port=465, tls=Tls.TLS,
        username="me@example.org", password="first", auth=RelayAuth.XOAUTH2,
    )  # fmt: skip
    async with db.write(scope) as tx:
        await relays.add(tx, scope, details=details, keyring=KEYRING, now=NOW)
    async with db.write(scope) as tx:
        relay = await relays.replace_password(
            tx, scope, name="main", password="second", keyring=KEYRING, now=NOW
        )
    endpoint = endpoint_of(relay, KEYRING, Settings())
    assert (endpoint.auth, endpoint.username, endpoint.password) == ("xoauth2", "me@example.org", "second")
    for wrong in ("", "two\r\nlines"):
        with pytest.raises(InvalidInput):
            async with db.write(scope) as tx:
                await relays.replace_password(
                    tx, scope, name="main", password=wrong, keyring=KEYRING, now=NOW
                )
    with pytest.raises(NotFound):
        async with db.write(other) as tx:
            await relays.replace_password(tx, other, name="main", password="x", keyring=KEYRING, now=NOW)
    viewer = Scope(scope.tenant_id, "viewer", ROLE_GRANTS["viewer"])
    with pytest.raises(Forbidden):
        async with db.write(viewer) as tx:
            await relays.replace_password(tx, viewer, name="main", password="x", keyring=KEYRING, now=NOW)
    async with db.read(scope) as tx:
        entries = await tx.scalars(sa.select(AuditEntry).where(AuditEntry.tenant_id == scope.tenant_id))
        assert not any("second" in str(entry.details) for entry in entries)


async def test_relays_belong_to_their_tenant(db: Database, scope: Scope, other: Scope) -> None:
    await add(db, scope)
    async with db.read(other) as tx:
        assert (await relays.list_relays(tx, other)).total == 0
        assert await relays.default_relay(tx, other) is None
        with pytest.raises(NotFound, match="no relay called main"):
            await relays.get_relay(tx, other, name="main")
    async with db.write(other) as tx:
        with pytest.raises(NotFound):
            await relays.remove(tx, other, name="main", now=NOW)
    await add(db, other)


async def test_the_first_relay_is_the_default(db: Database, scope: Scope) -> None:
    await add(db, scope, "zulu")
    await add(db, scope, "alpha")
    async with db.read(scope) as tx:
        first = await relays.default_relay(tx, scope)
        assert first is not None
        assert first.name == "zulu"
        assert [relay.name for relay in (await relays.list_relays(tx, scope)).items] == ["alpha", "zulu"]


async def test_a_name_is_taken_once(db: Database, scope: Scope) -> None:
    await add(db, scope)
    with pytest.raises(Conflict, match="already a relay called main"):
        await add(db, scope)


@pytest.mark.parametrize("state", ["sending", "paused"])
@pytest.mark.parametrize("named", [True, False])
async def test_a_relay_in_use_stays(db: Database, scope: Scope, state: str, named: bool) -> None:
    relay = await add(db, scope)
    await add_campaign(db, scope, state=state, relay_id=relay.id if named else None)
    async with db.write(scope) as tx:
        with pytest.raises(Conflict, match="Spring"):
            await relays.remove(tx, scope, name="main", now=NOW)


async def test_a_relay_that_only_drafts_name_can_go(db: Database, scope: Scope) -> None:
    relay = await add(db, scope)
    await add_campaign(db, scope, state="draft", relay_id=relay.id)
    async with db.write(scope) as tx:
        await relays.remove(tx, scope, name="main", now=NOW)
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.select(sa.func.count()).select_from(Relay)) == 0
        campaign = await tx.scalar(sa.select(Campaign))
        assert campaign is not None
        assert campaign.relay_id is None
        actions = [entry.action for entry in await tx.scalars(sa.select(AuditEntry).order_by(sa.text("id")))]
    assert actions == ["tenant.create", "relay.add", "relay.remove"]


async def test_viewers_and_editors_change_no_relay(db: Database, scope: Scope) -> None:
    for role in ("editor", "viewer"):
        actor = Scope(scope.tenant_id, "user:1", ROLE_GRANTS[role])
        with pytest.raises(Forbidden):
            await add(db, actor)
