"""`mailengine init`: make an installation, or bring an existing one to this version's schema.

Everything that was given is checked before anything is written; each step can be repeated, so that a run that
was interrupted is finished by the next one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import answer, at_terminal, secret_from
from mailengine.cli.session import run_async, settings_of

# The database and the domain load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.config import Settings
    from mailengine.domain.accounts.tenants import TenantDetails
    from mailengine.models import Tenant


def init(
    ctx: typer.Context,
    organisation: Annotated[str | None, typer.Option(help="Name of the sending organisation.")] = None,
    address: Annotated[str | None, typer.Option(help="Its postal address; stands in every message.")] = None,
    country: Annotated[str | None, typer.Option(help="Its country, two letters (ISO 3166).")] = None,
    admin_email: Annotated[str | None, typer.Option(help="Address that the first user logs in with.")] = None,
    admin_password: Annotated[str | None, typer.Option(help="Their password (better: the file).")] = None,
    admin_password_file: Annotated[
        Path | None, typer.Option(help="File with the password; - reads standard input.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Never ask: what is missing is an error.")] = False,
    as_json: output.Json = False,
) -> None:
    """Make an installation: data directory, secret, database, organisation and first user.

    On an installation that has a tenant it only migrates the database and changes nothing else.
    """
    from mailengine.cli.installation import check_secret, database_shown, tenants_found
    from mailengine.core.scope import InstanceScope

    settings = settings_of(ctx)
    present = run_async(tenants_found(settings, InstanceScope("cli")))
    check_secret(settings, needed=bool(present))
    if present:
        _keep(present, organisation, settings, as_json=as_json)
        return
    ask = at_terminal() and not yes
    details = _details(organisation, address, country, ask=ask)
    email, password = _admin(
        admin_email, secret_from(admin_password, admin_password_file, "--admin-password"), ask=ask
    )
    schema = run_async(_make(settings, details, email, password))
    made = {
        "created": True,
        "tenant": details.slug,
        "admin": email,
        "data_dir": str(settings.data_dir),
        "database": database_shown(settings),
        "schema": schema,
    }
    output.emit(made, as_json=as_json)
    _next_steps()


def _keep(present: "list[Tenant]", organisation: str | None, settings: "Settings", *, as_json: bool) -> None:
    from mailengine.cli.installation import database_shown
    from mailengine.core.errors import Conflict

    names = {tenant.name for tenant in present}
    if organisation is not None and " ".join(organisation.split()) not in names:
        raise Conflict(
            f"this installation belongs to {', '.join(sorted(names))} already; "
            "add another organisation with `mailengine tenant add`"
        )
    kept: dict[str, Any] = {
        "created": False,
        "tenant": present[0].slug,
        "data_dir": str(settings.data_dir),
        "database": database_shown(settings),
    }
    output.note("already initialised; the database has the schema of this version")
    output.emit(kept, as_json=as_json)


def _details(
    organisation: str | None, address: str | None, country: str | None, *, ask: bool
) -> "TenantDetails":
    from mailengine.domain.accounts.countries import check_country
    from mailengine.domain.accounts.tenants import check_address, check_name, check_tenant

    return check_tenant(
        name=answer(organisation, "--organisation", "Organisation", check_name, ask=ask),
        postal_address=answer(address, "--address", "Postal address, in one line", check_address, ask=ask),
        country=answer(country, "--country", "Country (two letters)", check_country, ask=ask),
    )


def _admin(email: str | None, password: str | None, *, ask: bool) -> tuple[str, str]:
    from mailengine.domain.accounts.users import check_password
    from mailengine.mail.address import parse_address

    def address(text: str) -> str:
        return parse_address(text).email

    checked = answer(
        email,
        "--admin-email",
        "E-mail address of the first user",
        address,
        ask=ask,
    )
    return checked, answer(
        password,
        "--admin-password",
        "Password",
        lambda text: check_password(text, email=checked),
        ask=ask,
        hidden=True,
    )


async def _make(settings: "Settings", details: "TenantDetails", email: str, password: str) -> str:
    from mailengine.cli.installation import prepare
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.setup import create_owned_tenant
    from mailengine.domain.accounts.users import hash_password
    from mailengine.runtime import open_runtime

    password_hash = await hash_password(password)
    schema = await prepare(settings)
    instance = InstanceScope("cli")
    async with open_runtime(settings) as rt, rt.db.write(instance) as tx:
        await create_owned_tenant(
            tx, instance, details=details, email=email, password_hash=password_hash, now=rt.clock.now()
        )
    return schema


def _next_steps() -> None:
    for text in (
        "",
        "Next:",
        "  mailengine relay add main --host smtp.example.org --port 587 --tls starttls --username NAME",
        "  mailengine domain add example.org",
        "  mailengine import contacts.csv --list Customers",
        "  mailengine daemon",
    ):
        output.note(text)
