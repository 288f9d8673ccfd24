"""`mailengine user`: who can log in to a tenant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import answer, at_terminal, confirm, secret_from
from mailengine.cli.session import in_instance, in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.accounts.users import Member
    from mailengine.models import Role, User
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

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


@app.command()
def role(
    ctx: typer.Context,
    address: Address,
    role: Annotated[str, typer.Argument(help="owner, admin, editor or viewer.")],
    as_json: output.Json = False,
) -> None:
    """Give a user another role in the tenant; ends their sessions there."""
    from mailengine.domain.accounts.members import change_role
    from mailengine.domain.accounts.roles import role_of

    chosen = role_of(role)

    async def work(rt: "Runtime", scope: "Scope") -> str:
        user = await _found(rt, address)
        async with rt.db.write(scope) as tx:
            await change_role(tx, scope, user_id=user.id or 0, role=chosen, now=rt.clock.now())
        return user.email

    output.emit({"email": in_tenant(ctx, work), "role": chosen.value}, as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take a user's access to the tenant away at once."""
    from mailengine.domain.accounts import members

    confirm(f"Remove {address} from the tenant?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> str:
        user = await _found(rt, address)
        async with rt.db.write(scope) as tx:
            await members.remove(tx, scope, user_id=user.id or 0, now=rt.clock.now())
        return user.email

    output.emit({"email": in_tenant(ctx, work), "removed": True}, as_json=as_json)


@app.command()
def invite(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(help="E-mail address of whom to invite.")],
    role: Annotated[str, typer.Option(help="owner, admin, editor or viewer.")] = "editor",
    as_json: output.Json = False,
) -> None:
    """Print a link with which somebody joins the tenant; it works for a week and once."""
    from mailengine.domain.accounts import invitations
    from mailengine.domain.accounts.roles import role_of

    chosen = role_of(role)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            made = await invitations.invite(tx, scope, email=address, role=chosen, now=rt.clock.now())
        return {
            "email": made.invitation.email,
            "role": made.invitation.role,
            "link": f"{rt.settings.base_url}/invitations/{made.token}",
            "expires_at": made.invitation.expires_at,
        }

    made = in_tenant(ctx, work)
    output.emit(made, as_json=as_json)
    output.note("give the link to nobody but them: whoever opens it has the account")


@app.command("reset-password")
def reset_password(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """Print a link with which a user chooses another password; it works for an hour and once."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts import recovery

    async def work(rt: "Runtime") -> dict[str, Any]:
        user = await _found(rt, address)
        instance = InstanceScope("cli")
        async with rt.db.write(instance) as tx:
            letter = await recovery.ask_reset(tx, instance, email=user.email, now=rt.clock.now())
        assert letter is not None
        return {"email": letter.email, "link": f"{rt.settings.base_url}/reset/{letter.token}"}

    output.emit(in_instance(ctx, work), as_json=as_json)
    output.note("give the link to nobody but them: whoever opens it has the account")


@app.command("reset-totp")
def reset_totp(
    ctx: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove a user's second factor and recovery codes, when the phone is lost."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts import recovery, second_factor

    confirm(f"Let {address} log in with the password alone?", yes=yes)

    async def work(rt: "Runtime") -> dict[str, Any]:
        user = await _found(rt, address)
        instance, user_id = InstanceScope("cli"), user.id or 0
        async with rt.db.write(instance) as tx:
            scopes = await recovery.scopes_of(tx, instance, user_id=user_id)
            was_on = await second_factor.disable(tx, scopes, user_id=user_id, now=rt.clock.now())
        return {"email": user.email, "was_on": was_on}

    output.emit(in_instance(ctx, work), as_json=as_json)


@app.command()
def unlock(ctx: typer.Context, address: Address, as_json: output.Json = False) -> None:
    """Forget the wrong guesses at a user's password and codes, so that they can log in now."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts import attempts, recovery

    async def work(rt: "Runtime") -> dict[str, Any]:
        user = await _found(rt, address)
        instance = InstanceScope("cli")
        async with rt.db.write(instance) as tx:
            names = (user.email, f"user:{user.id}")
            counted = [await attempts.unlock(tx, instance, account=name) for name in names]
            await recovery.note(tx, instance, "user.unlock", user.id or 0, now=rt.clock.now())
        return {"email": user.email, "was_counted": any(counted)}

    output.emit(in_instance(ctx, work), as_json=as_json)


@app.command()
def link(
    ctx: typer.Context,
    address: Address,
    issuer: Annotated[str, typer.Option(help="The provider, as its tokens name it (iss).")],
    subject: Annotated[str, typer.Option(help="Who the user is there (sub).")],
    as_json: output.Json = False,
) -> None:
    """Let an identity of a provider be the user: for logins and tokens without a confirmed address."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts import identities

    async def work(rt: "Runtime") -> str:
        user = await _found(rt, address)
        instance, now = InstanceScope("cli"), rt.clock.now()
        async with rt.db.write(instance) as tx:
            await identities.tie(tx, instance, user_id=user.id or 0, issuer=issuer, subject=subject, now=now)
        return user.email

    output.emit({"email": in_instance(ctx, work), "issuer": issuer, "subject": subject}, as_json=as_json)


async def _found(rt: "Runtime", address: str) -> "User":
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.users import find_user

    instance = InstanceScope("cli")
    async with rt.db.read(instance) as tx:
        return await find_user(tx, instance, email=address)


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
