"""`mailengine tui`: the dashboard in a terminal."""

import sys
from typing import Annotated

import typer

from mailengine.cli.session import run_async, settings_of
from mailengine.core.errors import InvalidInput

# Textual and the domain load inside the function: `--help` must stay quick.


def tui(
    ctx: typer.Context,
    light: Annotated[bool, typer.Option("--light", help="Dark letters on light ground.")] = False,
) -> None:
    """Watch and steer everything in a terminal: campaigns, contacts, delivery, jobs, logs.

    It reads and writes the database itself, so it works while no daemon runs, and ends without ending anything.
    """
    from mailengine.runtime import open_runtime
    from mailengine.tui.app import Dashboard
    from mailengine.tui.source.source import open_source

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput(
            "the dashboard needs a terminal; `mailengine campaign watch` and `doctor` do without"
        )

    async def main() -> None:
        async with open_runtime(settings_of(ctx)) as rt:
            source = await open_source(rt, slug=ctx.find_root().obj.tenant)
            try:
                await Dashboard(source, light=light).run_async()
            finally:
                await source.desk.settled()

    run_async(main())
