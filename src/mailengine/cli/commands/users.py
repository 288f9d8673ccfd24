"""`mailengine user`: who can log in to a tenant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import answer, at_terminal, secret_from
from mailengine.cli.session import in_instance, in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.accounts.users import Member
    from mailengine.models import Role
    from mailengine.runtime import Runtime

app = typer.Typer(help="People who can log in.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="E-mail address that the user logs in with.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="File with the password; - reads standard input. Default: ask.")
]


@app.command()
def add(
    ctx: typer.Context,
    address: Address,
    role: Annotated[str, typer.Option(help="owner, admin, editor or viewer.")] = "editor",
    password_file: PasswordFile = None,
    as_json: output.Json = False,
) -> None:
    """Add a user to the tenant; one who has an account already keeps their password."""
    from mailengine.domain.accounts.roles import role_of

    chosen = role_of(role)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[str, bool]":
        return await _add(rt, scope, address, chosen, password_file)

    email, created = in_tenant(ctx, work)
    output.emit({"email": email, "role": chosen.value, "created": created}, as_json=as_json)


async def _add(
    rt: "Runtime", scope: "Scope", address: str, role: "Role", password_file: Path | None
) -> tuple[str, bool]:
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.users import add_member, create_user, hash_password, user_with
    from mailengine.mail.address import parse_address

    instance, email = InstanceScope(scope.actor), parse_address(address).email
    async with rt.db.read(instance) as tx:
        known = await user_with(tx, email=email)
    password_hash = None if known else await hash_password(_password(email, password_file))
    now = rt.clock.now()
    async with rt.db.write(instance) as tx:
        user = known
        if password_hash is not None:
            user = await create_user(tx, instance, email=email, password_hash=password_hash, now=now)
        assert user is not None
        assert user.id is not None
        await add_member(tx, scope, user_id=user.id, role=role, now=now)
    return email, known is None


@app.command("list")
def list_(ctx: typer.Context, as_json: output.Json = False) -> None:
    """List the tenant's users."""
    from mailengine.domain.accounts.users import list_members

    async def work(rt: "Runtime", scope: "Scope") -> "list[Member]":
        async with rt.db.read(scope) as tx:
            return await list_members(tx, scope)

    rows = [_shown(member) for member in in_tenant(ctx, work)]
    output.emit(
        {"items": rows, "total": len(rows), "next": None},
        as_json=as_json,
        text=lambda: output.table(
            rows, ("email", "role", "created_at"), empty="nobody can log in yet; use `mailengine user add`"
        ),
    )


@app.command()
def password(
    ctx: typer.Context, address: Address, password_file: PasswordFile = None, as_json: output.Json = False
) -> None:
    """Give a user another password; ends all their sessions."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.users import find_user, hash_password, set_password

    async def work(rt: "Runtime") -> str:
        instance = InstanceScope("cli")
        async with rt.db.read(instance) as tx:
            email = (await find_user(tx, instance, email=address)).email
        password_hash = await hash_password(_password(email, password_file))
        async with rt.db.write(instance) as tx:
            await set_password(tx, instance, email=email, password_hash=password_hash, now=rt.clock.now())
        return email

    output.emit({"email": in_instance(ctx, work), "changed": True}, as_json=as_json)


def _password(email: str, file: Path | None) -> str:
    from mailengine.domain.accounts.users import check_password

    return answer(
        secret_from(None, file, "--password"),
        "--password-file",
        "Password",
        lambda text: check_password(text, email=email),
        ask=at_terminal(),
        hidden=True,
    )


def _shown(member: "Member") -> dict[str, Any]:
    return {"email": member.email, "role": member.role, "created_at": member.created_at}
