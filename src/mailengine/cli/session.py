"""What every command does first: settings, the runtime, the tenant; and how an error leaves the program."""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from mailengine.cli import output
from mailengine.core import errors

# Settings, the database and uvloop load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.config import Settings
    from mailengine.core.scope import Scope
    from mailengine.runtime import Runtime

Result = TypeVar("Result")

EXIT_CODES: dict[type[errors.MailengineError], int] = {errors.InvalidInput: 2}  # every other error: 1


@dataclass(frozen=True, slots=True)
class Options:
    """What was said before the command's name."""

    data_dir: Path | None = None
    database_url: str | None = None
    config: Path | None = None
    tenant: str | None = None


def settings_of(ctx: typer.Context, **flags: Any) -> "Settings":
    """The settings for this call; `flags` are sections or values given to the command itself."""
    from mailengine.core.config import load_settings

    options: Options = ctx.find_root().obj
    if options.config is not None:
        os.environ["MAILENGINE_CONFIG"] = str(options.config)
    database = {"url": options.database_url} if options.database_url else None
    return load_settings(data_dir=options.data_dir, database=database, **flags)


def run_async(work: Awaitable[Result]) -> Result:
    """Run to the end on uvloop where there is one."""

    async def main() -> Result:
        return await work

    if sys.platform == "win32":
        import asyncio

        return asyncio.run(main())
    import uvloop

    return uvloop.run(main())


def in_tenant(ctx: typer.Context, work: "Callable[[Runtime, Scope], Awaitable[Result]]") -> Result:
    """Open the installation, find the tenant (`--tenant`, or the only one) and do the work in its scope."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import cli_scope
    from mailengine.runtime import open_runtime

    async def main() -> Result:
        async with open_runtime(settings_of(ctx)) as rt:
            instance = InstanceScope(actor="cli")
            async with rt.db.read(instance) as tx:
                scope = await cli_scope(tx, instance, slug=ctx.find_root().obj.tenant)
            return await work(rt, scope)

    return run_async(main())


def in_instance(ctx: typer.Context, work: "Callable[[Runtime], Awaitable[Result]]") -> Result:
    """Open the installation for work that belongs to no tenant."""
    from mailengine.runtime import open_runtime

    async def main() -> Result:
        async with open_runtime(settings_of(ctx)) as rt:
            return await work(rt)

    return run_async(main())


def exit_code(error: errors.MailengineError) -> int:
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def report(error: errors.MailengineError) -> None:
    """The error as one line on stderr; each reason of a refusal on a line of its own below it."""
    output.note(f"mailengine: {output.one_line(str(error))}")
    if isinstance(error, errors.Refused):
        for reason in error.reasons:
            output.note(f"  - {output.one_line(reason)}")
