"""The command `mailengine`: global options, the commands, and where errors become exit codes."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mailengine import __version__
from mailengine.cli import output
from mailengine.cli.session import Options, exit_code, report
from mailengine.cli.tree import Tree
from mailengine.core.errors import MailengineError

app = typer.Typer(
    name="mailengine",
    cls=Tree,
    help="Import contacts, design messages, send campaigns, follow what becomes of each message.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in 0.2 s, rich's boxes take 0.35
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"mailengine {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="MAILENGINE_DATA_DIR", help="Directory of the installation.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL or SQLite URL (or MAILENGINE_DATABASE_URL).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(envvar="MAILENGINE_CONFIG", help="Settings file (TOML).")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(envvar="MAILENGINE_TENANT", help="Tenant, where there are several.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    ctx.obj = Options(data_dir=data_dir, database_url=database_url, config=config, tenant=tenant)


def _wrong_usage(error: typer.TyperException) -> int:
    """One line in place of Typer's box, which a log or a script cannot use."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        output.line(context.get_help())
    else:
        command = context.command_path if context is not None else "mailengine"
        words = output.one_line(error.format_message()).rstrip(".")
        output.note(f"mailengine: {words}; see `{command} --help`")
    return error.exit_code


def run() -> None:
    """Entry point: exit code 0 on success, 1 when something failed or refused, 2 for wrong usage or input."""
    try:
        sys.exit(app(standalone_mode=False) or 0)  # a code where a command raised typer.Exit
    except typer.TyperException as error:
        sys.exit(_wrong_usage(error))
    except typer.Abort:
        output.note("mailengine: nothing was done")
        sys.exit(1)
    except MailengineError as error:
        report(error)
        sys.exit(exit_code(error))
    except BrokenPipeError:  # `mailengine contacts list | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
