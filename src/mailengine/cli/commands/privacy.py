"""`mailengine privacy`: what a person may ask for, and the whole data of a tenant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.privacy.erase import Erased
    from mailengine.models import Job
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Address = Annotated[str, typer.Argument(help="The person's address.")]


@app.command()
def erase(
    ctx: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Forget a person for good: everywhere, and so that no import brings them back."""
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.contacts.search.index import purge
    from mailengine.domain.contacts.suppression import HASH_PURPOSE
    from mailengine.domain.privacy.erase import erase as erase_person
    from mailengine.domain.privacy.files import forget_everywhere

    confirm(f"Erase everything that is held of {address}? This cannot be undone.", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[Erased, int]":
        scope_files = await forget_everywhere(rt.db, scope, data_dir=rt.settings.data_dir, address=address)
        async with rt.db.write(scope) as tx:
            found = await erase_person(
                tx,
                scope,
                address=address,
                hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
                now=rt.clock.now(),
            )
        await purge(rt.db, InstanceScope("cli"))  # the daemon would do it soon; there may be none
        return found, scope_files

    found, files = in_tenant(ctx, work)
    output.emit({"contact": found.contact_id, "rows": found.rows, "files": files}, as_json=as_json)


@app.command("export-person")
def export_person(
    ctx: typer.Context,
    address: Address,
    to: Annotated[
        Path | None, typer.Option("--output", help="File to write; default: standard output.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Give a person all that is held of them, as one JSON document."""
    from mailengine.cli.files import new_file
    from mailengine.domain.privacy import person

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            held = await person.collect(tx, scope, address=address)
            contact_id = held["contacts"][0]["id"] if "contacts" in held else None
            await person.record_export(tx, scope, contact_id=contact_id, now=now)
        return {"address": address, "exported_at": now, **held}

    told = in_tenant(ctx, work)
    with new_file(to) as out:
        out.write(output.json_text(told) + "\n")
    if to is not None:
        rows = {table: len(found) for table, found in told.items() if isinstance(found, list)}
        output.emit({"file": str(to), "rows": rows}, as_json=as_json)


@app.command()
def export(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Ask for all data of the organisation as a ZIP; the daemon makes it, and it is kept for 7 days."""
    from mailengine.domain.privacy.exports import request

    async def work(rt: "Runtime", scope: "Scope") -> "Job":
        async with rt.db.write(scope) as tx:
            return await request(tx, scope, now=rt.clock.now())

    job = in_tenant(ctx, work)
    output.note(
        f"`mailengine jobs show {job.id}` tells how far it is, `privacy download {job.id}` fetches it"
    )
    output.emit({"job": job.id, "state": job.state}, as_json=as_json)


@app.command()
def download(
    ctx: typer.Context,
    job: Annotated[int, typer.Argument(help="The number that `privacy export` gave.", min=1)],
    to: Annotated[Path, typer.Option("--output", help="File to write.")] = Path("all-data.zip"),
    as_json: output.Json = False,
) -> None:
    """Fetch a finished export."""
    from mailengine.cli.files import copy_new
    from mailengine.domain.privacy import exports

    async def work(rt: "Runtime", scope: "Scope") -> Path:
        async with rt.db.read(scope) as tx:
            found = await exports.find(tx, scope, job_id=job)
        return exports.file_of(rt.settings.data_dir, found, now=rt.clock.now())

    size = copy_new(in_tenant(ctx, work), to)
    output.emit({"file": str(to), "bytes": size}, as_json=as_json)
