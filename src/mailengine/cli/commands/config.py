"""`mailengine config`: what is set, where it comes from, and the secret that seals the rest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.running import daemon_runs
from mailengine.cli.session import run_async, settings_of
from mailengine.core.errors import Conflict

# Settings and the database load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.config import Settings
    from mailengine.core.secrets import Keyring

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As `config show` lists it, such as web.port.")]


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: output.Json = False,
) -> None:
    """List every setting with its value; secrets only as set or not."""
    from mailengine.cli.settings_file import origin_of, value_of
    from mailengine.core.config import config_file, setting_fields, variable_of

    settings = settings_of(ctx)
    file = config_file(settings.data_dir)
    rows: list[dict[str, Any]] = []
    for name in setting_fields():
        row = {"setting": name, "value": value_of(settings, name)}
        if origin or as_json:
            row |= {"origin": origin_of(name, file, _flags(ctx)), "variable": variable_of(name)}
        rows.append(row)
    columns = ("setting", "value", "origin", "variable") if origin else ("setting", "value")
    written = [row | {"value": _as_set(row["value"])} for row in rows]
    output.emit({"items": rows}, as_json=as_json, text=lambda: output.table(written, columns, empty=""))


def _as_set(value: Any) -> Any:
    """A number as one would give it: without separators."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _flags(ctx: typer.Context) -> frozenset[str]:
    """Settings that were given before the command's name. (--data-dir is also filled by its variable.)"""
    import os

    options = ctx.find_root().obj
    given = {"database.url": options.database_url, "data_dir": options.data_dir}
    if "MAILENGINE_DATA_DIR" in os.environ:
        given.pop("data_dir")
    return frozenset(name for name, value in given.items() if value is not None)


@app.command()
def path(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Print where the settings file is, or would be."""
    file = _file(ctx)
    output.emit(
        {"file": str(file), "exists": file.is_file()}, as_json=as_json, text=lambda: output.line(str(file))
    )


def _file(ctx: typer.Context) -> Path:
    from mailengine.core.config import FILE_NAME, config_file

    settings = settings_of(ctx)
    return config_file(settings.data_dir) or settings.data_dir / FILE_NAME


@app.command()
def check(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Read all settings as the daemon would; exit code 0 when it could start with them."""
    from mailengine.cli.settings_file import origin_of
    from mailengine.core.config import config_file, setting_fields
    from mailengine.runtime import require_installation

    settings = settings_of(ctx)
    require_installation(settings)
    file = config_file(settings.data_dir)
    changed = [name for name in setting_fields() if origin_of(name, file, _flags(ctx)) != "default"]
    output.emit({"ok": True, "file": str(file) if file else None, "set": changed}, as_json=as_json)


@app.command("set")
def set_(
    ctx: typer.Context,
    name: Name,
    value: Annotated[str, typer.Argument(help="The value; several are parted by commas.")],
    as_json: output.Json = False,
) -> None:
    """Write a setting into the settings file; a running daemon takes it up when it is started again."""
    _change(ctx, name, value, as_json=as_json)


@app.command()
def unset(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Take a setting out of the settings file."""
    _change(ctx, name, None, as_json=as_json)


def _change(ctx: typer.Context, name: str, value: str | None, *, as_json: bool) -> None:
    from mailengine.cli.settings_file import change, origin_of

    settings, file = settings_of(ctx), _file(ctx)
    stored = change(file, name, value, settings.data_dir)
    output.emit({"setting": name, "value": stored, "file": str(file)}, as_json=as_json)
    above = origin_of(name, file, _flags(ctx))
    if value is not None and above != str(file):
        output.note(f"it has no effect while {above} says otherwise")


@app.command()
def example() -> None:
    """Print a settings file in which every setting stands with its default and what it is."""
    from mailengine.cli.settings_file import example as text

    output.line(text().rstrip("\n"))


@app.command("rotate-key")
def rotate_key(
    ctx: typer.Context,
    forget_old: Annotated[
        bool, typer.Option("--forget-old", help="Accept nothing more that older secrets made.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Make a new secret and seal every stored password with it; links in mail that was sent go on working.

    The daemon must not run. Older secrets stay until --forget-old: then links of before lead nowhere.
    """
    if forget_old:
        confirm(
            "Forget older secrets? Links in mail that was sent before stop working, unsubscribing too.",
            yes=yes,
        )
    output.emit(run_async(_rotate(settings_of(ctx), forget_old=forget_old)), as_json=as_json)


async def _rotate(settings: "Settings", *, forget_old: bool) -> dict[str, Any]:
    from mailengine.core.secrets import load_keyring, replace_secret
    from mailengine.runtime import open_runtime, secret_path

    path, configured = secret_path(settings), settings.secret_key
    async with open_runtime(settings) as rt:
        if await daemon_runs(rt):
            raise Conflict("a daemon runs with the present secret; stop it everywhere, then rotate")
        if configured is not None:
            return await _by_setting(rt.keyring, rt.db, forget_old=forget_old)
        text = rt.keyring.without_older() if forget_old else rt.keyring.with_new_secret()
        # The old secrets stand in the file until everything is sealed with the new one: a crash loses nothing.
        if not forget_old:
            replace_secret(path, text)
        resealed = await _reseal(rt.db, load_keyring(path, None))
        if forget_old:
            replace_secret(path, text)
    return {"resealed": resealed, "older_secrets": not forget_old, "file": str(path)}


async def _by_setting(keyring: "Keyring", db: Any, *, forget_old: bool) -> dict[str, Any]:
    """Where the setting has it, a person changes the setting on every machine; we only seal anew."""
    if not keyring.rotated or forget_old:
        raise Conflict(
            "the secret comes from MAILENGINE_SECRET_KEY: put a new one (`openssl rand -hex 32`) before it, with a "
            "space between, and `hash:OLD` at the end; then run this again"
        )
    return {"resealed": await _reseal(db, keyring), "older_secrets": True, "file": None}


async def _reseal(db: Any, keyring: "Keyring") -> int:
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.integrity.sealed import reseal

    instance = InstanceScope("cli")
    async with db.write(instance, durable=True) as tx:
        return await reseal(tx, instance, keyring)
