"""`mailengine segments`: rules that describe contacts."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.db.unit import ReadTx
    from mailengine.domain.contacts.segments.parse import Parsed
    from mailengine.domain.contacts.segments.rules import Rule
    from mailengine.models import Segment
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The segment's name.")]
MaybeName = Annotated[str | None, typer.Argument(help="The segment's name; or give --rule.")]
Text = Annotated[str, typer.Argument(help="Its rule, as text or as JSON.")]
RuleText = Annotated[str | None, typer.Option("--rule", help="A rule that is not saved.")]
_COLUMNS = ("email", "first_name", "last_name", "state")


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the saved segments."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.contacts.segments import saved

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Segment]":
        async with rt.db.read(scope) as tx:
            return await saved.list_segments(tx, scope, page=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("name", "text", "updated_at"),
        empty="no segment yet; make one with `mailengine segments add NAME RULE`",
        as_json=as_json,
    )


@app.command()
def add(ctx: typer.Context, name: Name, rule: Text, as_json: output.Json = False) -> None:
    """Save a rule under a name, like 'tag = vip and not opened within 90 days'."""
    from mailengine.domain.contacts.segments import saved

    async def work(rt: "Runtime", scope: "Scope") -> "Segment":
        async with rt.db.write(scope) as tx:
            return await saved.add(tx, scope, name=name, rule=read_rule(rule), now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    rule: RuleText = None,
    rename: Annotated[str | None, typer.Option(help="New name.")] = None,
    as_json: output.Json = False,
) -> None:
    """Change a saved segment; campaigns under way keep the rule that they were sent with."""
    from mailengine.domain.contacts.segments import saved

    if rule is None and rename is None:
        raise InvalidInput("there is nothing to change; give --rule or --rename")

    async def work(rt: "Runtime", scope: "Scope") -> "Segment":
        read = None if rule is None else read_rule(rule)
        async with rt.db.write(scope) as tx:
            found = await saved.get(tx, scope, name=name)
            return await saved.update(
                tx, scope, segment_id=found.id or 0, name=rename, rule=read, now=rt.clock.now()
            )

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show a segment's rule, as text and as JSON."""
    import json

    from mailengine.domain.contacts.segments import saved

    async def work(rt: "Runtime", scope: "Scope") -> "Segment":
        async with rt.db.read(scope) as tx:
            return await saved.get(tx, scope, name=name)

    found = in_tenant(ctx, work)
    told = {**_shown(found), "rule": found.rule}
    as_text = {**told, "rule": json.dumps(found.rule, ensure_ascii=False)}
    output.emit(told, as_json=as_json, text=lambda: output.fields(as_text))


@app.command()
def count(
    ctx: typer.Context, name: MaybeName = None, rule: RuleText = None, as_json: output.Json = False
) -> None:
    """Count the contacts that match now."""
    from mailengine.domain.contacts.segments import find

    async def work(rt: "Runtime", scope: "Scope") -> int:
        async with rt.db.read(scope) as tx:
            asked = await _rule(tx, scope, name, rule)
        return await find.live_count(rt.db, scope, asked, now=rt.clock.now())

    output.emit({"count": in_tenant(ctx, work)}, as_json=as_json)


@app.command()
def sample(
    ctx: typer.Context,
    name: MaybeName = None,
    rule: RuleText = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 10,
    as_json: output.Json = False,
) -> None:
    """Show some of the contacts that match now, from a random place on."""
    import random

    from mailengine.domain.contacts.segments import find

    async def work(rt: "Runtime", scope: "Scope") -> list[dict[str, Any]]:
        async with rt.db.read(scope) as tx:
            asked = await _rule(tx, scope, name, rule)
            found = await find.sample(
                tx, scope, asked, limit=limit, now=rt.clock.now(), chance=random.SystemRandom()
            )
        return [{column: getattr(contact, column) for column in _COLUMNS} for contact in found]

    rows = in_tenant(ctx, work)
    output.emit(
        {"items": rows}, as_json=as_json, text=lambda: output.table(rows, _COLUMNS, empty="nobody matches")
    )


@app.command()
def explain(
    ctx: typer.Context,
    name: MaybeName = None,
    rule: RuleText = None,
    lists: Annotated[
        list[str] | None, typer.Option("--list", help="Of these lists only; repeatable.")
    ] = None,
    exclude_lists: Annotated[
        list[str] | None, typer.Option("--exclude-list", help="Nobody of this list; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude-segment", help="Nobody of this segment; repeatable.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Say how many a campaign to this segment would reach, and why it would not reach the others."""
    from mailengine.domain.contacts import audience
    from mailengine.domain.contacts.lists import ids_of
    from mailengine.domain.contacts.segments import saved

    async def work(rt: "Runtime", scope: "Scope") -> "audience.Explanation":
        async with rt.db.read(scope) as tx:
            choice = audience.Choice(
                list_ids=await ids_of(tx, scope, lists or []),
                segments=(await _rule(tx, scope, name, rule),),
                without_lists=await ids_of(tx, scope, exclude_lists or []),
                without_segments=tuple(
                    [saved.rule_of(await saved.get(tx, scope, name=each)) for each in exclude or []]
                ),
            )
            chosen = await audience.choose(tx, scope, choice, now=rt.clock.now())
            return await audience.explain(tx, scope, chosen)

    told = in_tenant(ctx, work)
    output.emit(
        {
            "people": told.people,
            "reachable": told.reachable,
            "left_out": told.left_out,
            "duplicates": told.duplicates,
        },
        as_json=as_json,
    )


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a saved segment; its contacts stay."""
    from mailengine.domain.contacts.segments import saved

    confirm(f"Delete the segment {output.one_line(name)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> "Segment":
        async with rt.db.write(scope) as tx:
            found = await saved.get(tx, scope, name=name)
            return await saved.delete(tx, scope, segment_id=found.id or 0, now=rt.clock.now())

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


def read_rule(text: str) -> "Parsed | Rule":
    """A rule as a person gives it: JSON begins with a brace, which no text does."""
    import json

    from mailengine.domain.contacts.segments.parse import parse
    from mailengine.domain.contacts.segments.rules import from_json

    if not text.lstrip().startswith("{"):
        return parse(text)
    try:
        return from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this is no JSON: {error}") from error


async def _rule(tx: "ReadTx", scope: "Scope", name: str | None, text: str | None) -> "Rule":
    from mailengine.domain.contacts.segments import find, saved

    if (name is None) == (text is None):
        raise InvalidInput("give the name of a segment or --rule, and not both")
    if name is not None:
        return saved.rule_of(await saved.get(tx, scope, name=name))
    return await find.checked(tx, scope, read_rule(text or ""))


def _shown(segment: "Segment") -> dict[str, Any]:
    from mailengine.domain.contacts.segments.saved import rule_of
    from mailengine.domain.contacts.segments.show import show as as_text

    return {
        "id": segment.id,
        "name": segment.name,
        "text": as_text(rule_of(segment)),
        "created_at": segment.created_at,
        "updated_at": segment.updated_at,
    }
