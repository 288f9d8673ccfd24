"""`mailengine relay`: the SMTP servers that take a tenant's mail."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import answer, at_terminal, confirm, secret_from
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant, settings_of
from mailengine.core.errors import InvalidInput, Unavailable

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.delivery.smtp import ProbeReport
    from mailengine.models import Relay, RelayAuth, Tls
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The relay's name.")]
Priority = Annotated[int, typer.Option(help="0 comes first; the next one takes over in trouble.")]
Weight = Annotated[int, typer.Option(help="Share among relays of the same priority.")]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    host: Annotated[str, typer.Option(help="Host name or IP address.")],
    port: Annotated[int, typer.Option(help="Port: 587 for starttls, 465 for tls, 25 for none.")] = 587,
    tls: Annotated[str, typer.Option(help="none, starttls or tls.")] = "starttls",
    username: Annotated[str, typer.Option(help="Name to log in with; none: no login.")] = "",
    auth: Annotated[
        str, typer.Option(help="password, or xoauth2: the password is an access token.")
    ] = "password",
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password; - reads standard input. Default: ask.")
    ] = None,
    priority: Priority = 0,
    weight: Weight = 1,
    as_json: output.Json = False,
) -> None:
    """Add a relay; the first one is used where a campaign names none."""
    from mailengine.domain.senders import relays

    password = _password(username, password_file)
    details = relays.check_relay(
        name=name, host=host, port=port, tls=_tls(tls), username=username, password=password,
        priority=priority, weight=weight, auth=_auth(auth),
    )  # fmt: skip

    async def work(rt: "Runtime", scope: "Scope") -> "Relay":
        async with rt.db.write(scope) as tx:
            return await relays.add(tx, scope, details=details, keyring=rt.keyring, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command("add-direct")
def add_direct(
    ctx: typer.Context,
    name: Name,
    helo: Annotated[str, typer.Option(help="Name to greet with; must resolve to this machine and back.")],
    source_address: Annotated[str, typer.Option(help="IP address to send from. Default: the system's.")] = "",
    priority: Priority = 0,
    weight: Weight = 1,
    as_json: output.Json = False,
) -> None:
    """Deliver to the recipients' own servers; needs port 25 open and an address with a good name."""
    from mailengine.domain.senders import relays

    details = relays.check_direct(
        name=name, helo=helo, source_address=source_address, priority=priority, weight=weight
    )

    async def work(rt: "Runtime", scope: "Scope") -> "Relay":
        async with rt.db.write(scope) as tx:
            return await relays.add(tx, scope, details=details, keyring=rt.keyring, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the relays."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.senders.relays import list_relays

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Relay]":
        async with rt.db.read(scope) as tx:
            return await list_relays(tx, scope, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("name", "kind", "host", "port", "tls", "username", "priority", "weight", "enabled", "trouble"),
        empty="no relay yet; add one with `mailengine relay add NAME --host HOST`",
        as_json=as_json,
    )


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show a relay, without its password."""
    output.emit(_shown(in_tenant(ctx, lambda rt, scope: _get(rt, scope, name))), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    priority: Annotated[int | None, typer.Option(help="0 comes first.")] = None,
    weight: Annotated[int | None, typer.Option(help="Share among relays of the same priority.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Send through it or not.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Change a relay's share of the mail, also while campaigns are being sent."""
    from mailengine.domain.senders import relays

    changes = relays.RelayChanges(priority, weight, enabled)

    async def work(rt: "Runtime", scope: "Scope") -> "Relay":
        async with rt.db.write(scope) as tx:
            return await relays.update(tx, scope, name=name, changes=changes, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def password(
    ctx: typer.Context,
    name: Name,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password; - reads standard input. Default: ask.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Replace a relay's password or access token, also while campaigns are being sent."""
    from mailengine.domain.senders import relays

    new = _password(name, password_file)

    async def work(rt: "Runtime", scope: "Scope") -> "Relay":
        async with rt.db.write(scope) as tx:
            return await relays.replace_password(
                tx, scope, name=name, password=new, keyring=rt.keyring, now=rt.clock.now()
            )

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a relay that no campaign under way uses."""
    from mailengine.domain.senders import relays

    confirm(f"Remove the relay {name} and its password?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            await relays.remove(tx, scope, name=name, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"name": name, "removed": True}, as_json=as_json)


@app.command("test")
def try_(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str | None, typer.Option(help="Send a test message to this address.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Its From address.")] = None,
    as_json: output.Json = False,
) -> None:
    """Connect and log in; with --to and --from also send a test message."""
    from mailengine.domain.delivery.trial import try_relay
    from mailengine.mail.address import parse_address

    if (to is None) != (sender is None):
        raise InvalidInput("a test message needs both --to and --from")
    recipient, author = (parse_address(text) if text else None for text in (to, sender))
    settings = settings_of(ctx)

    async def work(rt: "Runtime", scope: "Scope") -> "ProbeReport":
        return await try_relay(
            rt.db, scope, name=name, keyring=rt.keyring, settings=settings,
            author=author, recipient=recipient, now=rt.clock.now(),
        )  # fmt: skip

    report = in_tenant(ctx, work)
    output.emit(_report(report), as_json=as_json, text=lambda: _steps(report))
    failed = next((step for step in report.steps if not step.ok), None)
    if failed is not None:
        raise Unavailable(f"the relay {name} fails at {failed.name}: {failed.words}")


async def _get(rt: "Runtime", scope: "Scope", name: str) -> "Relay":
    from mailengine.domain.senders.relays import get_relay

    async with rt.db.read(scope) as tx:
        return await get_relay(tx, scope, name=name)


def _password(username: str, file: Path | None) -> str:
    if not username:
        if file is not None:
            raise InvalidInput("--password-file needs --username")
        return ""
    return answer(
        secret_from(None, file, "--password"),
        "--password-file",
        f"Password of {username}",
        lambda text: text,
        ask=at_terminal(),
        hidden=True,
    )


def _auth(text: str) -> "RelayAuth":
    from mailengine.models import RelayAuth

    try:
        return RelayAuth(text.lower())
    except ValueError as error:
        raise InvalidInput(f"--auth {text}: choose password or xoauth2") from error


def _tls(text: str) -> "Tls":
    from mailengine.models import Tls

    try:
        return Tls(text.lower())
    except ValueError as error:
        raise InvalidInput(f"--tls {text}: choose one of {', '.join(mode.value for mode in Tls)}") from error


def _report(report: "ProbeReport") -> dict[str, Any]:
    return {
        "ok": report.ok,
        "greeting": report.greeting,
        "tls_version": report.tls_version,
        "auth_methods": list(report.auth_methods),
        "steps": [{"name": step.name, "ok": step.ok, "words": step.words} for step in report.steps],
    }


def _steps(report: "ProbeReport") -> None:
    for step in report.steps:
        output.line(f"{'ok  ' if step.ok else 'FAIL'}  {step.name:10}  {step.words}")


def _shown(relay: "Relay") -> dict[str, Any]:
    return {
        "name": relay.name,
        "kind": relay.kind,
        "host": relay.host or None,
        "port": relay.port,
        "tls": relay.tls,
        "auth": relay.auth,
        "username": relay.username or None,
        "helo": relay.helo or None,
        "source_address": relay.source_address or None,
        "priority": relay.priority,
        "weight": relay.weight,
        "enabled": relay.enabled,
        "trouble": relay.trouble or None,
        "trouble_at": relay.trouble_at,
        "created_at": relay.created_at,
    }
