"""`mailengine export`: contacts into a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput, Unavailable

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.runtime import Runtime


def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write; - is standard output.")],
    list_name: Annotated[
        str | None, typer.Option("--list", help="Only who is subscribed to this list.")
    ] = None,
    segment: Annotated[str | None, typer.Option(help="Only whom this saved segment describes.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only who carries this tag.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those of this state.")] = None,
    where: Annotated[str | None, typer.Option(help="Only whom these rules describe: 'country = DE'.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or jsonl (JSON Lines).")] = "csv",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a file is replaced.")] = False,
    as_json: output.Json = False,
) -> None:
    """Export contacts with their state, tags, lists, consent and attributes; a CSV can be imported again."""
    from mailengine.domain.contacts.exports.chosen import Choice
    from mailengine.domain.contacts.exports.formats import Format

    if form not in [known.value for known in Format]:
        raise InvalidInput(f"--format is csv or jsonl, not {form!r}")
    choice = Choice(list_name=list_name, segment=segment, tag=tag, state=state, where=where)
    if str(file) == "-":
        in_tenant(ctx, lambda rt, scope: _to_stdout(rt, scope, choice, Format(form)))
        return
    if file.exists():
        confirm(f"Replace {output.one_line(str(file))}?", yes=yes)
    count = in_tenant(ctx, lambda rt, scope: _to_file(rt, scope, choice, Format(form), file))
    result: dict[str, Any] = {"file": str(file), "format": form, "contacts": count}
    output.emit(result, as_json=as_json)


async def _to_stdout(rt: "Runtime", scope: "Scope", choice: Any, form: Any) -> None:
    from mailengine.domain.contacts.exports.run import stream

    async for text, _count in stream(rt.db, rt.clock, scope, choice, form):
        output.raw(text.encode())


async def _to_file(rt: "Runtime", scope: "Scope", choice: Any, form: Any, target: Path) -> int:
    """Into a draft beside it, which takes its place when it is whole."""
    from mailengine.domain.contacts.exports.run import stream

    draft, total = target.with_name(target.name + ".part"), 0
    try:
        draft.touch(mode=0o600)
        with draft.open("w", encoding="utf-8", newline="") as out:
            async for text, count in stream(rt.db, rt.clock, scope, choice, form):
                out.write(text)
                total += count
        draft.replace(target)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return total
