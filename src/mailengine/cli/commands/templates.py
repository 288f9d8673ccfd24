"""`mailengine template`: what messages look like. `template block` are the pieces that templates share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.commands import blocks
from mailengine.cli.files import read_text
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.content.templates import Prepared
    from mailengine.models import Template, TemplateVersion
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
app.add_typer(blocks.app, name="block")

Source = Annotated[Path, typer.Argument(help="HTML file; - reads standard input.")]
Name = Annotated[str, typer.Argument(help="The template's name.")]
TextFile = Annotated[Path | None, typer.Option(help="Your own plain text; default: made from the HTML.")]
Category = Annotated[str | None, typer.Option(help="To sort templates by.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def add(
    ctx: typer.Context,
    file: Source,
    name: Annotated[str, typer.Option(help="Its name.")],
    category: Category = None,
    text_file: TextFile = None,
    as_json: output.Json = False,
) -> None:
    """Add a template; what may not be in a message is taken out and named."""
    from mailengine.domain.content import templates

    source, own_text = read_text(file), _own_text(text_file)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[Template, Prepared]":
        prepared = await templates.prepare(source, own_text=own_text, known=await _known(rt, scope))
        async with rt.db.write(scope) as tx:
            added = await templates.add(
                tx, scope, name=name, category=category or "", prepared=prepared, now=rt.clock.now()
            )
        return added, prepared

    _emit_saved(*in_tenant(ctx, work), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="New HTML; - reads standard input.")] = None,
    rename: Annotated[str | None, typer.Option(help="New name.")] = None,
    category: Category = None,
    text_file: TextFile = None,
    as_json: output.Json = False,
) -> None:
    """Change a template; new content becomes a new version. Campaigns under way keep what they have."""
    from mailengine.domain.content import templates

    if (file, rename, category, text_file) == (None, None, None, None):
        raise InvalidInput("there is nothing to change; give a file, --rename, --category or --text-file")
    source, own_text = (read_text(file) if file else None), _own_text(text_file)

    async def work(rt: "Runtime", scope: "Scope") -> "tuple[Template, Prepared | None]":
        template, version = await _newest(rt, scope, name)
        prepared = None
        if source is not None or own_text is not None:
            prepared = await templates.prepare(
                source or version.source,
                own_text=own_text if own_text is not None or not version.text_is_own else version.text,
                known=await _known(rt, scope),
            )
        async with rt.db.write(scope) as tx:
            changed = await templates.update(
                tx, scope, template_id=template.id or 0, name=rename, category=category,
                prepared=prepared, now=rt.clock.now(),
            )  # fmt: skip
        return changed, prepared

    _emit_saved(*in_tenant(ctx, work), as_json=as_json)


@app.command("list")
def list_(
    ctx: typer.Context,
    category: Category = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List the templates."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.content.templates import list_templates

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Template]":
        async with rt.db.read(scope) as tx:
            return await list_templates(tx, scope, category=category, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("name", "category", "version", "updated_at"),
        empty="no template yet; add one with `mailengine template add FILE --name NAME`",
        as_json=as_json,
    )


@app.command()
def show(
    ctx: typer.Context,
    name: Name,
    part: Annotated[str, typer.Option(help="Print only html, text or source.")] = "",
    as_json: output.Json = False,
) -> None:
    """Show a template: what is known of it, or one part of its newest version."""
    if part not in ("", "html", "text", "source"):
        raise InvalidInput(f"--part {part}: choose html, text or source")
    template, version = in_tenant(ctx, lambda rt, scope: _newest(rt, scope, name))
    if part and not as_json:
        output.line(str(getattr(version, part)))
        return
    facts = {
        **_shown(template),
        "created_at": template.created_at,
        "text_is_own": version.text_is_own,
        "html_bytes": len(version.html.encode()),
    }
    content = {"html": version.html, "text": version.text, "source": version.source}
    output.emit({**facts, **content} if as_json else facts, as_json=as_json)


@app.command()
def duplicate(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Name of the copy.")],
    as_json: output.Json = False,
) -> None:
    """Copy the newest version of a template under another name."""
    from mailengine.domain.content import templates

    async def work(rt: "Runtime", scope: "Scope") -> "Template":
        async with rt.db.write(scope) as tx:
            source = await templates.get_template(tx, scope, name=name)
            return await templates.duplicate(
                tx, scope, template_id=source.id or 0, name=new_name, now=rt.clock.now()
            )

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def delete(ctx: typer.Context, name: Name, yes: Yes = False, as_json: output.Json = False) -> None:
    """Delete a template that no draft uses; it can be restored for 30 days."""
    from mailengine.domain.content import templates

    confirm(f"Delete the template {output.one_line(name)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> None:
        async with rt.db.write(scope) as tx:
            found = await templates.get_template(tx, scope, name=name)
            await templates.delete(tx, scope, template_id=found.id or 0, now=rt.clock.now())

    in_tenant(ctx, work)
    output.emit({"name": name, "deleted": True}, as_json=as_json)


@app.command()
def deleted(
    ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False
) -> None:
    """List deleted templates that can be restored."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.campaigns import trash

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Template]":
        async with rt.db.read(scope) as tx:
            page = PageRequest(limit, cursor)
            return await trash.deleted_templates(tx, scope, now=rt.clock.now(), page=page)

    emit_page(
        in_tenant(ctx, work),
        lambda template: {**_shown(template), "deleted_at": template.deleted_at},
        ("name", "category", "deleted_at"),
        empty="no deleted template",
        as_json=as_json,
    )


@app.command()
def restore(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Bring a deleted template back, within 30 days."""
    from mailengine.domain.campaigns import trash
    from mailengine.models import Template

    async def work(rt: "Runtime", scope: "Scope") -> "Template":
        now = rt.clock.now()
        async with rt.db.write(scope) as tx:
            found = await trash.newest_deleted(tx, scope, Template, name=name, now=now)
            return await trash.restore_template(tx, scope, template_id=found, now=now)

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


async def _known(rt: "Runtime", scope: "Scope") -> frozenset[str]:
    from mailengine.domain.contacts.attributes import attribute_labels
    from mailengine.domain.content.values import BUILT_IN_TAGS

    async with rt.db.read(scope) as tx:
        return BUILT_IN_TAGS | frozenset(await attribute_labels(tx, scope))


async def _newest(rt: "Runtime", scope: "Scope", name: str) -> "tuple[Template, TemplateVersion]":
    from mailengine.domain.content.templates import get_template, newest

    async with rt.db.read(scope) as tx:
        template = await get_template(tx, scope, name=name)
        return template, await newest(tx, scope, template_id=template.id or 0)


def _own_text(file: Path | None) -> str | None:
    return None if file is None else read_text(file, what="text")


def _emit_saved(template: "Template", prepared: "Prepared | None", *, as_json: bool) -> None:
    removed = blocks.removed_of(prepared)
    unknown = [problem.name for problem in prepared.unknown] if prepared else []
    for problem in prepared.unknown if prepared else []:
        output.note(f"{problem.message}; no campaign can be sent until a contact has it")
    output.emit({**_shown(template), "removed": removed, "unknown": unknown}, as_json=as_json)


def _shown(template: "Template") -> dict[str, Any]:
    return {
        "name": template.name,
        "category": template.category,
        "version": template.version,
        "updated_at": template.updated_at,
    }
