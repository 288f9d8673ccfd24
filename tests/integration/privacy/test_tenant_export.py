"""All data of a tenant as a ZIP: made by the daemon, whole, without secrets, fetched for a week."""

import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from mailengine.core.clock import ManualClock
from mailengine.core.config import load_settings
from mailengine.core.errors import Forbidden, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.daemon.chores import CHORES, Chores
from mailengine.daemon.job_runs import JobRuns
from mailengine.db.tenancy import owned
from mailengine.db.unit import Database
from mailengine.domain.accounts import users
from mailengine.domain.privacy import exports
from mailengine.models import DefaultSender, Message, Relay
from mailengine.runtime import Runtime
from support.house import INSTANCE, KEYRING, NOW
from support.traces import ADDRESS, leave_traces

pytestmark = pytest.mark.anyio


@pytest.fixture
def rt(db: Database, database_url: str, tmp_path: Path) -> Runtime:
    settings = load_settings(data_dir=tmp_path, database={"url": database_url})
    return Runtime(settings, db, ManualClock(NOW), KEYRING)


async def test_it_is_whole_holds_no_secret_and_goes_after_a_week(
    rt: Runtime, scope: Scope, other: Scope, tmp_path: Path
) -> None:
    db = rt.db
    await leave_traces(db, scope, tmp_path)
    await leave_traces(db, other, tmp_path, address="theirs.quagga@example.org")
    async with db.write(INSTANCE) as tx:
        user = await users.create_user(tx, INSTANCE, email="boss@example.org", password_hash="x", now=NOW)
    async with db.write(scope) as tx:
        await users.add_member(tx, scope, user_id=user.id or 0, role="owner", now=NOW)
        tx.add(DefaultSender(tenant_id=scope.tenant_id, name="Acme", email="news@example.org"))
        tx.add(
            Relay(
                tenant_id=scope.tenant_id, name="main", host="mail.test", port=25, tls="none",
                password_sealed="SEALED", created_at=NOW,
            )
        )  # fmt: skip
        job = await exports.request(tx, scope, now=NOW)
        assert (await exports.request(tx, scope, now=NOW)).id == job.id, "one at a time"
    runs = JobRuns(rt)
    await runs.turn()
    await runs.close()  # the daemon ends in the middle, and another goes on
    while await JobRuns(rt).turn():
        runs = JobRuns(rt)
        while await runs.turn():
            pass
    async with db.read(scope) as tx:
        done = await exports.find(tx, scope, job_id=job.id or 0)
        (message,) = [row for row in await tx.scalars(owned(Message, scope)) if row.kind == "export-ready"]
    assert (done.state, message.email) == ("done", "boss@example.org")
    path = exports.file_of(tmp_path, done, now=NOW + timedelta(days=6))
    assert path.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        content = {name: archive.read(name).decode() for name in archive.namelist()}
    people = [json.loads(line) for line in content["contacts.jsonl"].splitlines()]
    assert [person["email"] for person in people] == [ADDRESS]
    assert people[0]["attributes"] == {"city": "Quaggatown"}
    assert "boss@example.org" in content["users.jsonl"]
    assert "Acme" in content["organisation.json"]
    everything = "".join(content.values())
    assert "SEALED" not in everything
    assert "theirs" not in everything
    assert {"relays.jsonl", "email_tasks.jsonl", "audit_log.jsonl", "README.txt"} <= content.keys()
    late = NOW + timedelta(days=8)
    with pytest.raises(NotFound, match="7 days"):
        exports.file_of(tmp_path, done, now=late)
    assert isinstance(rt.clock, ManualClock)
    rt.clock.advance(timedelta(days=8))

    async def go() -> bool:
        return True

    await Chores(rt, tuple(chore for chore in CHORES if chore.name == "retention")).turn(go)
    assert not path.exists()


async def test_it_is_for_those_who_manage_the_tenant(rt: Runtime, scope: Scope, other: Scope) -> None:
    async with rt.db.write(scope) as tx:
        job = await exports.request(tx, scope, now=NOW)
    for stranger, error in (
        (other, NotFound),
        (Scope(scope.tenant_id, "user:1", frozenset({Grant.READ, Grant.EDIT})), Forbidden),
    ):
        with pytest.raises(error):
            async with rt.db.read(stranger) as tx:
                await exports.find(tx, stranger, job_id=job.id or 0)
    with pytest.raises(NotFound, match="has no file"):
        exports.file_of(rt.settings.data_dir, job, now=NOW)
