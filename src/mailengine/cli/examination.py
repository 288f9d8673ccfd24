"""What `doctor` looks at. Each examination says what it found and, where something is wrong, what to do."""

import shutil
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mailengine.cli.installation import check_secret, database_shown
from mailengine.cli.running import daemon_runs
from mailengine.core.config import Settings
from mailengine.core.errors import MailengineError
from mailengine.core.paging import MAX_PAGE, PageRequest
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts.tenants import list_tenants, scope_in
from mailengine.domain.delivery.smtp import probe
from mailengine.domain.delivery.transport import endpoint_of
from mailengine.domain.integrity import violations
from mailengine.domain.senders.relays import list_relays
from mailengine.models import Relay
from mailengine.runtime import Runtime, open_runtime, secret_path

Level = Literal["ok", "warning", "error"]

_FEW_BYTES = 1 << 30
_TOO_FEW_BYTES = 100 << 20
_PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict; `todo` is empty where nothing is to be done."""

    name: str
    level: Level
    words: str
    todo: str = ""


async def examine(settings: Settings, *, offline: bool) -> list[Finding]:
    """Everything, from the machine to the relays; what cannot be opened ends the examination there."""
    findings = [_secret(settings), _disk(settings.data_dir)]
    try:
        async with open_runtime(settings) as rt:
            findings.append(Finding("database", "ok", database_shown(settings)))
            findings += await _integrity(rt)
            findings.append(await _daemon(rt))
            if not offline:
                findings += [finding async for finding in _relays(rt)]
    except MailengineError as error:
        findings.append(Finding("database", "error", str(error)))
    return findings


def _secret(settings: Settings) -> Finding:
    path = secret_path(settings)
    if settings.secret_key is None and not path.exists():
        todo = "run `mailengine init`; where there was one, restore it from a backup: it opens every password"
        return Finding("secret", "error", f"{path} is missing", todo)
    try:
        check_secret(settings, needed=False)
    except (MailengineError, OSError) as error:
        return Finding("secret", "error", str(error))
    if settings.secret_key is not None:
        return Finding("secret", "ok", "it is given by the settings")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        words = f"{path} can be read by others, and it opens every stored password"
        return Finding("secret", "error", words, f"run `chmod 600 {path}`")
    return Finding("secret", "ok", f"{path} is readable by its owner only")


def _disk(data_dir: Path) -> Finding:
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return Finding("disk", "error", f"{data_dir}: {error.strerror}", "run `mailengine init`")
    words = f"{free / (1 << 30):,.1f} GB free for {data_dir}"
    if free < _TOO_FEW_BYTES:
        return Finding("disk", "error", words, "free some space before the database cannot write")
    if free < _FEW_BYTES:
        return Finding("disk", "warning", words, "free some space")
    return Finding("disk", "ok", words)


async def _integrity(rt: Runtime) -> list[Finding]:
    instance = InstanceScope("cli")
    async with rt.db.read(instance) as tx:
        broken = await violations(tx, instance)
    todo = "this is a fault of the program: please report it with these lines"
    return [
        Finding(
            "integrity",
            "error",
            f"{violation.rule}: not so for {', '.join(map(str, violation.examples))}",
            todo,
        )
        for violation in broken
    ] or [Finding("integrity", "ok", "every rule of the ledger holds")]


async def _daemon(rt: Runtime) -> Finding:
    if await daemon_runs(rt):
        return Finding("daemon", "ok", "it runs")
    return Finding(
        "daemon", "warning", "no daemon runs: nothing is sent", "start it with `mailengine daemon`"
    )


async def _relays(rt: Runtime) -> AsyncIterator[Finding]:
    instance = InstanceScope("cli")
    found: list[tuple[str, Relay]] = []
    async with rt.db.read(instance) as tx:
        for tenant in (await list_tenants(tx, instance, request=PageRequest(limit=MAX_PAGE))).items:
            relays = (await list_relays(tx, scope_in(tenant, instance))).items
            found += [(tenant.slug, relay) for relay in relays]
    if not found:
        yield Finding(
            "relay", "warning", "there is no relay to send by", "add one with `mailengine relay add`"
        )
    for slug, relay in found:
        yield await _relay(rt, slug, relay)


async def _relay(rt: Runtime, slug: str, relay: Relay) -> Finding:
    name = f"{relay.name} of {slug}"
    try:
        endpoint = replace(
            endpoint_of(relay, rt.keyring, rt.settings),
            connect_timeout_seconds=_PROBE_SECONDS,
            command_timeout_seconds=_PROBE_SECONDS,
        )
        report = await probe(endpoint)
    except MailengineError as error:
        return Finding("relay", "error", f"{name}: {error}")
    failed = next((step for step in report.steps if not step.ok), None)
    if failed is None:
        return Finding("relay", "ok", f"{name}: {endpoint.where} answers and lets us in")
    todo = f"check its settings; `mailengine --tenant {slug} relay test {relay.name}` shows each step"
    return Finding("relay", "error", f"{name}: {failed.name}: {failed.words}", todo)
