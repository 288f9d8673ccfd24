"""`mailengine service`: the daemon under systemd."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.session import settings_of
from mailengine.core.errors import NotFound, Unavailable

# Settings load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.cli.systemd import Service

app = typer.Typer(no_args_is_help=True)

User = Annotated[bool, typer.Option("--user", help="In your own systemd, without root.")]
_SECONDS = 120


@app.command()
def install(
    ctx: typer.Context,
    user: User = False,
    run_as: Annotated[
        str | None, typer.Option(help="User to run as; default: the owner of the data directory.")
    ] = None,
    role: Annotated[str, typer.Option(help="What it does.")] = "web,tracker,worker,scheduler",
    print_only: Annotated[bool, typer.Option("--print", help="Print the unit and write nothing.")] = False,
    start: Annotated[bool, typer.Option(help="Enable and start it.")] = True,
    as_json: output.Json = False,
) -> None:
    """Write a hardened unit for this installation, enable it and start it."""
    from mailengine.cli.systemd import unit, unit_path

    text = unit(_service(ctx, role, None if user else run_as, user=user))
    if print_only:
        output.line(text.rstrip("\n"))
        return
    path = unit_path(user=user)
    _write(path, text)
    if start:
        _systemctl(user, "daemon-reload")
        _systemctl(user, "enable", "--now", path.name)
    output.emit({"unit": str(path), "started": start}, as_json=as_json)
    if user and start:
        output.note("it ends when you log out, unless `loginctl enable-linger` was said once")


def _service(ctx: typer.Context, role: str, run_as: str | None, *, user: bool) -> "Service":
    from mailengine.cli.systemd import Service
    from mailengine.core.config import config_file
    from mailengine.daemon.roles import roles_of
    from mailengine.runtime import require_installation

    roles_of(role)
    settings = settings_of(ctx)
    require_installation(settings)
    config = config_file(settings.data_dir)
    return Service(
        data_dir=settings.data_dir.resolve(),
        config=config.resolve() if config else None,
        roles=role,
        port=settings.web.port,
        drain_seconds=settings.worker.drain_seconds,
        run_as=None if user else (run_as or settings.data_dir.owner()),
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror}; run it as root, or with --user for your own systemd"
        ) from error


@app.command()
def status(ctx: typer.Context, user: User = False, as_json: output.Json = False) -> None:
    """Say whether the service is installed and runs; exit code 0 when it does."""
    from mailengine.cli.systemd import unit_path
    from mailengine.core.serving import serving_here

    path = unit_path(user=user)
    asked = "ActiveState,SubState,UnitFileState,MainPID,StatusText,NRestarts"
    told = _systemctl(user, "show", path.name, f"--property={asked}", tolerant=True)
    facts = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    shown: dict[str, Any] = {
        "unit": str(path) if path.exists() else None,
        "state": facts.get("ActiveState") or "unknown",
        "detail": facts.get("StatusText") or facts.get("SubState") or None,
        "enabled": facts.get("UnitFileState") == "enabled",
        "pid": int(facts.get("MainPID") or 0) or None,
        "restarts": int(facts.get("NRestarts") or 0),
        "daemon_answers": serving_here(settings_of(ctx).data_dir) is not None,
    }
    output.emit(shown, as_json=as_json)
    if shown["state"] != "active":
        raise typer.Exit(1)


@app.command()
def uninstall(
    user: User = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Stop the service and remove its unit; the installation stays as it is."""
    from mailengine.cli.systemd import unit_path

    path = unit_path(user=user)
    if not path.exists():
        raise NotFound(f"there is no service: {path} does not exist")
    confirm(f"Stop the service and remove {path}?", yes=yes)
    _systemctl(user, "disable", "--now", path.name, tolerant=True)
    try:
        path.unlink()
    except OSError as error:
        raise Unavailable(f"cannot remove {path}: {error.strerror}") from error
    _systemctl(user, "daemon-reload", tolerant=True)
    output.emit({"removed": str(path)}, as_json=as_json)


def _systemctl(user: bool, *arguments: str, tolerant: bool = False) -> str:
    """What systemctl prints; raises Unavailable with its words, unless the answer does not matter."""
    program = shutil.which("systemctl")
    words = "there is no systemctl on this machine"
    if program is not None:
        command = [program, *(["--user"] if user else []), "--no-pager", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            words = f"systemctl {arguments[0]} did not end in {_SECONDS} s"
        else:
            if done.returncode == 0:
                return done.stdout
            words = f"systemctl {arguments[0]} failed: {' '.join(done.stderr.split())}"
    if tolerant:
        return ""
    raise Unavailable(f"{words}; the unit is written, start it by hand or see `mailengine daemon`")
