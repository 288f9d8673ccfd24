"""`mailengine backup`, `restore`, `upgrade`, `migrate-database`: an installation in one file, and elsewhere."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import at_terminal, confirm, secret_from
from mailengine.cli.session import run_async, settings_of
from mailengine.core.errors import Conflict
from mailengine.core.serving import serving_here

# Archives, the database and migrations load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.backup.restore import Restored
    from mailengine.backup.take import Taken
    from mailengine.core.config import Settings

PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase that encrypts; - reads standard input.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, or a directory.")],
    passphrase_file: PassphraseFile = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="In a directory: keep so many of the newest, remove the others.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write database, secret, settings and files into one file, and read it again to be sure.

    It can be done while the daemon sends. The file holds the secret: keep it as safe as the installation.
    """
    from mailengine.backup.sealed import check_passphrase
    from mailengine.backup.take import take
    from mailengine.core.clock import SystemClock
    from mailengine.core.config import config_file

    passphrase = secret_from(None, passphrase_file, "--passphrase")
    if passphrase is not None:
        check_passphrase(passphrase)
    settings = settings_of(ctx)
    taken = run_async(
        take(
            settings,
            target,
            now=SystemClock().now(),
            passphrase=passphrase,
            keep=keep,
            config=config_file(settings.data_dir),
        )
    )
    output.emit(_taken(taken, encrypted=passphrase is not None), as_json=as_json)
    if passphrase is None:
        output.note("not encrypted: whoever reads the file can read every address and every password in it")


def _taken(taken: "Taken", *, encrypted: bool) -> dict[str, Any]:
    counts = taken.manifest.counts
    return {
        "file": str(taken.path),
        "bytes": taken.size,
        "encrypted": encrypted,
        "database": taken.manifest.database,
        "schema": taken.manifest.schema,
        "contacts": counts.get("contacts", 0),
        "messages": counts.get("email_tasks", 0),
        "rows": sum(counts.values()),
        "verified": True,
        "removed": [str(path) for path in taken.removed],
    }


def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `mailengine backup` wrote.")],
    passphrase_file: PassphraseFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the installation that is there.")
    ] = False,
    yes: Yes = False,
    as_json: output.Json = False,
) -> None:
    """Make the installation what it was at the backup, and hold what may have left after it.

    All sending is off afterwards; what was open at the backup is in doubt and listed. The daemon must not run.
    """
    settings = settings_of(ctx)
    _refuse_running(settings)
    if overwrite:
        confirm(f"Replace the installation in {settings.data_dir} by {source}?", yes=yes)
    passphrase = secret_from(None, passphrase_file, "--passphrase") or _asked(source)
    done = _restore(settings, source, passphrase, overwrite=overwrite)
    output.emit(_restored(done), as_json=as_json)
    _what_now(done)


def _restore(settings: "Settings", source: Path, passphrase: str | None, *, overwrite: bool) -> "Restored":
    from mailengine.backup.restore import restore
    from mailengine.core.clock import SystemClock

    now = SystemClock().now()
    return run_async(restore(settings, source, passphrase=passphrase, overwrite=overwrite, now=now))


def _asked(source: Path) -> str | None:
    """The passphrase of a file that needs one, where a person sits."""
    from mailengine.backup.archive import is_sealed

    if not at_terminal() or not source.is_file() or not is_sealed(source):
        return None
    return str(typer.prompt("Passphrase", hide_input=True, err=True))


def _restored(done: "Restored") -> dict[str, Any]:
    return {
        "taken_at": done.manifest.taken_at,
        "schema": done.manifest.schema,
        "rows": sum(done.manifest.counts.values()),
        "in_doubt": sum(each.in_doubt for each in done.held.campaigns),
        "campaigns": [asdict(each) for each in done.held.campaigns],
        "messages_waiting": done.held.messages,
        "replaced": str(done.replaced) if done.replaced else None,
        "settings_file": str(done.settings_file) if done.settings_file else None,
    }


def _what_now(done: "Restored") -> None:
    for note in done.notes:
        output.note(note)
    for each in done.held.campaigns:
        growing = (
            "; it was still finding recipients and is paused: the rest may have got it"
            if each.growing
            else ""
        )
        output.note(f"{each.tenant}: {each.campaign}: {each.in_doubt} in doubt{growing}")
    if done.held.messages:
        output.note(
            f"{done.held.messages} transactional messages waited; they are sent when sending is on again"
        )
    for text in (
        "All sending is off: mail that left after the backup is not in this database. Next:",
        "  mailengine delivery doubts list",
        "  mailengine delivery doubts settle --campaign NAME --as sent     what had left",
        "  mailengine delivery doubts resend --campaign NAME               what had not",
        "  mailengine kill-switch off",
    ):
        output.note(text)


def upgrade(
    ctx: typer.Context,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to the backup before the last upgrade.")
    ] = False,
    yes: Yes = False,
    as_json: output.Json = False,
) -> None:
    """Back up, then bring the database to the schema of this version. `--undo` puts the backup back.

    To go back, install the former version first: this one would only upgrade again.
    """
    settings = settings_of(ctx)
    _refuse_running(settings)
    if undo:
        from mailengine.backup.upgrade import newest

        source = newest(settings)
        confirm(f"Replace the installation in {settings.data_dir} by {source.name}?", yes=yes)
        done = _restore(settings, source, None, overwrite=True)
        output.emit(_restored(done), as_json=as_json)
        _what_now(done)
        return
    output.emit(run_async(_upgrade(settings)), as_json=as_json)


async def _upgrade(settings: "Settings") -> dict[str, Any]:
    from mailengine.backup.upgrade import upgrade as bring_up
    from mailengine.core.clock import SystemClock
    from mailengine.core.scope import InstanceScope
    from mailengine.domain.integrity import violations
    from mailengine.runtime import open_runtime, require_installation

    require_installation(settings)
    done = await bring_up(settings, now=SystemClock().now(), new=False)
    if done.backup is None:
        return {"upgraded": False, "schema": done.schema, "backup": None, "undo": None}
    instance = InstanceScope("cli")
    async with open_runtime(settings) as rt, rt.db.read(instance) as tx:
        broken = await violations(tx, instance)
    if broken:
        raise Conflict(
            f"after the upgrade this does not hold: {broken[0].rule}; go back with the former version and "
            f"`mailengine restore --overwrite {done.backup}`"
        )
    return {
        "upgraded": True,
        "from": done.found,
        "schema": done.schema,
        "backup": str(done.backup),
        "undo": "install the former version, then `mailengine upgrade --undo`",
    }


def migrate_database(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="An empty database: postgresql://…")],
    as_json: output.Json = False,
) -> None:
    """Copy an installation from SQLite into an empty PostgreSQL database, and compare every count.

    The daemon must not run. Afterwards the SQLite file has another name, so that nothing sends from it by mistake.
    """
    from mailengine.backup.transfer import transfer
    from mailengine.core.errors import InvalidInput
    from mailengine.db.engine import sqlite_path
    from mailengine.runtime import require_installation

    settings = settings_of(ctx)
    require_installation(settings)
    source = sqlite_path(settings.database_url)
    if source is None:
        raise InvalidInput("this installation is not on SQLite; only SQLite can be moved to PostgreSQL")
    _refuse_running(settings)
    done = run_async(transfer(source, url, settings.database, _shown_progress))
    kept = source.with_name(source.name + ".migrated")
    source.replace(kept)
    counts = {name: count for name, count in done.counts.items() if count}
    output.emit({"rows": sum(counts.values()), "tables": counts, "kept": str(kept)}, as_json=as_json)
    output.note("Now name the new database: MAILENGINE_DATABASE_URL, or `database.url` in the settings file")


def _shown_progress(table: str, done: int, total: int) -> None:
    if done == total or done % 100_000 == 0:
        output.note(f"{table}: {done:,} of {total:,}")


def _refuse_running(settings: "Settings") -> None:
    if serving_here(settings.data_dir):
        raise Conflict(f"a daemon runs on {settings.data_dir}; stop it first")
