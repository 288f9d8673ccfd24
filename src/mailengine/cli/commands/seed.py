"""`mailengine seed`: made-up data to develop against."""

from typing import TYPE_CHECKING, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import run_async, settings_of

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.config import Settings


def seed(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Fill an empty installation with 500 made-up contacts, 3 templates and 2 campaigns, one of them sent.

    Where there is no installation it makes one and prints how to log in. No mail leaves the machine.
    """
    made = run_async(_sow(settings_of(ctx), ctx.find_root().obj.tenant))
    output.emit(made, as_json=as_json)


async def _sow(settings: "Settings", tenant: str | None) -> dict[str, Any]:
    from mailengine.cli.demo import stage
    from mailengine.cli.demo.seed import sow
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.accounts.tenants import cli_scope
    from mailengine.runtime import open_runtime, secret_path

    instance = InstanceScope("cli")
    fresh = not secret_path(settings).exists()
    if fresh:
        await stage.make_database(settings)
    async with open_runtime(settings) as rt:
        told: dict[str, Any] = {"data_dir": str(settings.data_dir)}
        if fresh:
            scope, account = await stage.make_tenant(rt)
            await stage.add_sender(rt, scope, port=2525)
            told |= {"admin": account.email, "password": account.password}
        else:
            async with rt.db.read(instance) as tx:
                scope = await cli_scope(tx, instance, slug=tenant)
        return told | await sow(rt, scope)
