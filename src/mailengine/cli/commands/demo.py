"""`mailengine demo`: the main job on example data, then serve until Ctrl-C."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailengine.cli import output
from mailengine.cli.session import run_async

# The daemon's and the domain's modules load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.cli.demo.play import Result
    from mailengine.core.config import Settings


def demo(
    ctx: typer.Context,
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the report; exit code 0 only if all got one message.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory of the demo; default: a new one, which is kept.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the web pages; default: 8025 or a free one.")
    ] = None,
    contacts: Annotated[int, typer.Option(min=1, max=1_000_000, help="Records to import.")] = 1000,
    as_json: output.Json = False,
) -> None:
    """Set up an installation, import contacts, send a campaign to a mail catcher, show the report.

    Everything is real but the recipients, and nothing leaves this machine. An installation of yours is not
    touched: the demo has a directory of its own.
    """
    folder = data_dir or ctx.find_root().obj.data_dir or Path(tempfile.mkdtemp(prefix="mailengine-demo-"))
    good = run_async(_perform(_settings(folder), contacts, port, exit_=exit_, as_json=as_json))
    if not good:
        raise typer.Exit(1)


async def _perform(
    settings: "Settings", contacts: int, port: int | None, *, exit_: bool, as_json: bool
) -> bool:
    from mailengine.cli.demo import show
    from mailengine.cli.demo.play import performed
    from mailengine.cli.demo.processes import free_port

    if port is None:
        port = 0 if exit_ else free_port()
    async with performed(settings, contacts=contacts, port=port) as (result, daemon):
        output.emit(result.as_dict(), as_json=as_json, text=lambda: show.report(result.report))
        if not exit_:
            show.places(_places(result))
            while True:
                daemon.check()
                await asyncio.sleep(0.5)
    return result.good


def _places(result: "Result") -> dict[str, str]:
    report = f'mailengine --data-dir {result.data_dir} campaign report "{result.report.progress.name}"'
    return {
        "Web pages": f"{result.url}/campaigns",
        "Log in with": f"{result.account.email}   {result.account.password}",
        "Caught mail": f"{result.url}/caught",
        "Command line": report,
        "": "Serving until Ctrl-C.",
    }


def _settings(folder: Path) -> "Settings":
    """Settings of the demo alone: what the environment says is about an installation that it must not touch."""
    from mailengine.core.config import PREFIX, Settings, load_settings

    sections = tuple(f"{PREFIX}{name.upper()}" for name in (*Settings.model_fields, "config"))
    for name in [name for name in os.environ if name.startswith(sections)]:
        del os.environ[name]
    return load_settings(data_dir=folder.absolute())
