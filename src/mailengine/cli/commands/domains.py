"""`mailengine domain`: in whose name a tenant sends, and whether the DNS says so."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant, settings_of
from mailengine.core.errors import Unavailable

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.senders.dns import DnsRecord
    from mailengine.domain.senders.domains import DomainKeys
    from mailengine.models import SendingDomain
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The domain, such as example.org.")]
Zone = Annotated[bool, typer.Option("--zone", help="Print the records as lines of a zone file.")]


@app.command()
def add(ctx: typer.Context, name: Name, zone: Zone = False, as_json: output.Json = False) -> None:
    """Add a domain with a DKIM key of its own, and show the DNS records to publish."""
    from mailengine.domain.senders import domains
    from mailengine.domain.senders.verification import records_of

    checked = domains.check_domain(name)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[DomainKeys, list[DnsRecord]]":
        key = await domains.new_key()
        async with rt.db.write(scope) as tx:
            added = await domains.add_domain(
                tx, scope, domain=checked, key=key, keyring=rt.keyring, now=rt.clock.now()
            )
            return added, await records_of(tx, scope, added)

    added, records = in_tenant(ctx, work)
    _emit_domain(added.domain, records, zone=zone, as_json=as_json)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the sending domains."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.senders.domains import list_domains

    async def work(rt: "Runtime", scope: "Scope") -> "Page[SendingDomain]":
        async with rt.db.read(scope) as tx:
            return await list_domains(tx, scope, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("domain", "verified_at", "checked_at"),
        empty="no sending domain yet; add one with `mailengine domain add example.org`",
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, name: Name, zone: Zone = False, as_json: output.Json = False) -> None:
    """Show the DNS records to publish, and what the last check found."""
    from mailengine.domain.senders.domains import get_domain
    from mailengine.domain.senders.verification import records_of

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[DomainKeys, list[DnsRecord]]":
        async with rt.db.read(scope) as tx:
            found = await get_domain(tx, scope, domain=name)
            return found, await records_of(tx, scope, found)

    found, records = in_tenant(ctx, work)
    _emit_domain(found.domain, records, zone=zone, as_json=as_json)


@app.command("add-key")
def add_key(
    ctx: typer.Context,
    name: Name,
    algorithm: Annotated[str, typer.Option(help="rsa, or ed25519 to sign beside it.")] = "rsa",
    zone: Zone = False,
    as_json: output.Json = False,
) -> None:
    """Add a DKIM key; it signs once its record is published and verified."""
    from mailengine.domain.senders import domains
    from mailengine.domain.senders.verification import records_of

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[DomainKeys, list[DnsRecord]]":
        key = await domains.new_key(algorithm)
        async with rt.db.write(scope) as tx:
            found = await domains.add_key(
                tx, scope, domain=name, key=key, keyring=rt.keyring, now=rt.clock.now()
            )
            return found, await records_of(tx, scope, found)

    found, records = in_tenant(ctx, work)
    _emit_domain(found.domain, records, zone=zone, as_json=as_json)


@app.command("remove-key")
def remove_key(
    ctx: typer.Context,
    name: Name,
    selector: Annotated[str, typer.Argument(help="The key's selector, such as me1.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a DKIM key; leave its DNS record for a week, for mail that is under way."""
    from mailengine.domain.senders import domains

    confirm(f"Remove the key {selector} of {name}? It cannot be brought back.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await domains.remove_key(tx, scope, domain=name, selector=selector, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"domain": name, "selector": selector, "removed": True}, as_json=as_json)


@app.command()
def verify(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Ask the DNS for SPF, DKIM and DMARC; exit code 0 when all are in place."""
    from mailengine.domain.senders import verification

    settings = settings_of(ctx).dns

    async def work(rt: "Runtime", scope: "Scope") -> "SendingDomain":
        now = rt.clock.now()
        found = await verification.verify(rt.db, scope, domain=name, settings=settings, now=now)
        return found.domain

    row = in_tenant(ctx, work)
    output.emit(_shown(row), as_json=as_json, text=lambda: _verdicts(row))
    if open_ := verification.missing(row):
        raise Unavailable(f"{row.domain} is not verified: {', '.join(open_)} not in place")


@app.command()
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a domain and its keys for good."""
    from mailengine.domain.senders import domains

    confirm(f"Remove {name} and its DKIM keys? A new key needs a new DNS record.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await domains.remove(tx, scope, domain=name, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"domain": name, "removed": True}, as_json=as_json)


def _emit_domain(row: "SendingDomain", records: "list[DnsRecord]", *, zone: bool, as_json: bool) -> None:
    def text() -> None:
        if zone:
            for record in records:
                output.line(record.zone_line)
            return
        for record in records:
            output.line(f"{record.purpose}: {record.note}")
            output.line(f"  name   {record.name}\n  type   TXT\n  value  {record.value}\n")
        _verdicts(row)

    published = [
        {"purpose": record.purpose, "type": "TXT", "name": record.name, "value": record.value}
        for record in records
    ]
    output.emit({**_shown(row), "records": published}, as_json=as_json, text=text)
    if not zone and row.verified_at is None:
        output.note(f"publish these records, then run `mailengine domain verify {row.domain}`")


def _verdicts(row: "SendingDomain") -> None:
    for check, verdict in row.checks.items():
        output.line(f"{verdict['status']:7}  {check.upper():5}  {verdict['words']}")


def _shown(row: "SendingDomain") -> dict[str, Any]:
    return {
        "domain": row.domain,
        "verified": row.verified_at is not None,
        "verified_at": row.verified_at,
        "checked_at": row.checked_at,
        "checks": row.checks,
        "created_at": row.created_at,
    }
