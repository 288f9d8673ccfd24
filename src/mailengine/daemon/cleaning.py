"""The chores that keep a tenant's data clean and no longer than it may be kept: the works of `chores.CHORES`."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime

from mailengine.core.ids import TenantId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.campaigns import list_removal, trash
from mailengine.domain.contacts import hygiene
from mailengine.domain.contacts.contacts import RESTORABLE
from mailengine.domain.contacts.exports import run as exports
from mailengine.domain.contacts.imports import errors_file, undo, uploads
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.contacts.upkeep import Rules, all_tenants, rules_of
from mailengine.domain.privacy import erase, retention
from mailengine.domain.privacy import exports as tenant_exports
from mailengine.domain.privacy.files import forget_rejected, job_files
from mailengine.runtime import Runtime

_PAGE = 200
_INSTANCE = InstanceScope("role:scheduler")


async def empty_trash(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """What was deleted 30 days ago is erased (P16-03)."""
    before, hash_key = now - RESTORABLE, rt.keyring.derive_for_ever(HASH_PURPOSE)
    async with rt.db.read(_INSTANCE) as tx:
        tenants = await erase.tenants_with_deleted(tx, _INSTANCE, before=before)
    for tenant_id in tenants:
        scope, done = _scope(tenant_id), _PAGE
        while done == _PAGE:
            async with rt.db.read(scope) as look:
                due = await erase.addresses_due(look, scope, before=before, limit=_PAGE)
            await forget_rejected(rt.db, scope, data_dir=rt.settings.data_dir, addresses=due)
            async with rt.db.write(scope) as tx:
                done = await erase.erase_deleted(
                    tx, scope, before=before, limit=_PAGE, hash_key=hash_key, now=now
                )
            yield {"contacts": done}
    async with rt.db.write(_INSTANCE) as tx:
        figures = await trash.empty(tx, _INSTANCE, before=before)
    yield figures


async def empty_lists(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """Who is on a list that was deleted is taken off it."""
    async with rt.db.read(_INSTANCE) as tx:
        gone = await list_removal.to_empty(tx, _INSTANCE)
    for tenant_id, list_id in gone:
        async with aclosing(list_removal.empty(rt.db, _scope(tenant_id), list_id=list_id, now=now)) as pages:
            async for taken_off in pages:
                yield {"members": taken_off}


async def erase_again(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """Clicks in old messages, and words of servers that came late, of people who were erased."""
    async with rt.db.read(_INSTANCE) as tx:
        tenants = await erase.tenants_with_erased(tx, _INSTANCE)
    for tenant_id in tenants:
        async with rt.db.write(_scope(tenant_id)) as tx:
            yield {"people": await erase.again(tx, _scope(tenant_id), now=now)}


async def forget_files(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """What only helps to take an import back, and the rows that it rejected, for 30 days; what was exported for
    download, for 7; uploads that nobody imported, for one."""
    gone = -1
    while gone:
        async with rt.db.write(_INSTANCE) as tx:
            gone = await undo.forget_old(tx, _INSTANCE, now=now)
        yield {"import_rows": gone}
    async with rt.db.read(_INSTANCE) as tx:
        ids = await exports.expired(tx, _INSTANCE, clock=rt.clock)
        rejected = await errors_file.too_old(tx, _INSTANCE, data_dir=rt.settings.data_dir, now=now)
    files = [path for job_id in ids for path in job_files(rt.settings.data_dir, job_id)]
    files += rejected
    files += uploads.stale(rt.settings.data_dir, now)
    for path in files:
        path.unlink(missing_ok=True)
    yield {"files": len(files)}


async def keep_clean(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """List hygiene of every tenant that wants it (P5-08)."""
    for scope, rules in await _tenants(rt):
        if not rules.hygiene:
            continue
        async with rt.db.write(scope) as tx:
            suppressed = await hygiene.suppress_bouncing(tx, scope, rules, now=now)
        yield {"suppressed": suppressed}
        last = 0
        while True:
            async with rt.db.write(scope) as tx:
                last, figures = await hygiene.judge_page(tx, scope, rules, after_id=last, now=now)
            yield figures
            if not last:
                break


async def drop_old(rt: Runtime, now: datetime) -> AsyncGenerator[Mapping[str, int]]:
    """What is kept for a limited time only."""
    for scope, rules in await _tenants(rt):
        async for figures in retention.drop_old(rt.db, scope, rules, now=now):
            yield figures
    async with rt.db.write(_INSTANCE) as tx:
        sessions = await retention.drop_sessions(tx, _INSTANCE, now=now)
    yield {"sessions": sessions}
    yield {
        "files": await tenant_exports.drop_expired(rt.db, _INSTANCE, data_dir=rt.settings.data_dir, now=now)
    }


async def _tenants(rt: Runtime) -> list[tuple[Scope, Rules]]:
    async with rt.db.read(_INSTANCE) as tx:
        scopes = [_scope(tenant_id) for tenant_id in await all_tenants(tx, _INSTANCE)]
    found = []
    for scope in scopes:
        async with rt.db.read(scope) as tx:
            found.append((scope, await rules_of(tx, scope)))
    return found


def _scope(tenant_id: int) -> Scope:
    return Scope(TenantId(tenant_id), _INSTANCE.actor)
