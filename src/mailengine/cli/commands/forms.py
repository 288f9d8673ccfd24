"""`mailengine forms`: public pages by which people put themselves on lists."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.models import SignupForm
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The form's name.")]
Lists = Annotated[list[str] | None, typer.Option("--list", help="List that it leads to; can be repeated.")]
Title = Annotated[str | None, typer.Option(help="Heading of the page; default: the organisation.")]
Intro = Annotated[str | None, typer.Option(help="What stands below the heading.")]
Wording = Annotated[str | None, typer.Option(help="What people agree to; kept with each consent.")]
AskName = Annotated[bool | None, typer.Option("--ask-name/--no-ask-name", help="Ask for names, too.")]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether its page is there.")]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = 50, cursor: Cursor = None, as_json: output.Json = False) -> None:
    """List the forms with their addresses."""
    from mailengine.core.paging import Page, PageRequest
    from mailengine.domain.signup import forms

    async def work(rt: "Runtime", scope: "Scope") -> "Page[dict[str, Any]]":
        async with rt.db.read(scope) as tx:
            page = await forms.list_forms(tx, scope, page=PageRequest(limit, cursor))
        return Page([_shown(rt, form) for form in page.items], page.total, page.next)

    emit_page(
        in_tenant(ctx, work),
        lambda row: row,
        ("name", "enabled", "url"),
        empty="no form yet; make one with `mailengine forms create NAME --list LIST`",
        as_json=as_json,
    )


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    lists: Lists = None,
    title: Title = None,
    intro: Intro = None,
    wording: Wording = None,
    ask_name: AskName = None,
    as_json: output.Json = False,
) -> None:
    """Make a form; its page is there at once."""
    from mailengine.domain.accounts.tenants import get_tenant
    from mailengine.domain.signup import forms

    fields = forms.FormFields(name, title, intro, wording, lists, ask_name)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            organisation = (await get_tenant(tx, scope)).name
            form = await forms.create_form(tx, scope, fields, organisation=organisation, now=rt.clock.now())
        return _shown(rt, form)

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    rename: Annotated[str | None, typer.Option(help="New name.")] = None,
    lists: Lists = None,
    title: Title = None,
    intro: Intro = None,
    wording: Wording = None,
    ask_name: AskName = None,
    enabled: Enabled = None,
    as_json: output.Json = False,
) -> None:
    """Change a form; lists that are given replace those it had."""
    from mailengine.domain.signup import forms

    fields = forms.FormFields(rename, title, intro, wording, lists or None, ask_name, enabled)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            found = await forms.get_form(tx, scope, name=name)
            form = await forms.update_form(
                tx, scope, form_id=found.id or 0, fields=fields, now=rt.clock.now()
            )
        return _shown(rt, form)

    output.emit(in_tenant(ctx, work), as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """Show a form, its address and the HTML that embeds it in a page of your own."""
    from mailengine.domain.signup import forms
    from mailengine.domain.signup.embed import embed_code

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            form = await forms.get_form(tx, scope, name=name)
            lists = await forms.lists_of(tx, scope, form.list_ids)
        return {
            **_shown(rt, form),
            "lists": [each.name for each in lists],
            "intro": form.intro,
            "wording": form.wording,
            "ask_name": form.ask_name,
            "embed": embed_code(form, rt.settings.base_url),
        }

    shown = in_tenant(ctx, work)

    def text() -> None:
        output.fields({name: value for name, value in shown.items() if name != "embed"})
        output.line("")
        for line in shown["embed"].splitlines():
            output.line(line)

    output.emit(shown, as_json=as_json, text=text)


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a form; whoever signed up by it stays."""
    from mailengine.domain.signup import forms

    confirm(f"Delete the form {output.one_line(name)}?", yes=yes)

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            found = await forms.get_form(tx, scope, name=name)
            form = await forms.delete_form(tx, scope, form_id=found.id or 0, now=rt.clock.now())
        return _shown(rt, form)

    output.emit(in_tenant(ctx, work), as_json=as_json)


def _shown(rt: "Runtime", form: "SignupForm") -> dict[str, Any]:
    return {
        "id": form.id,
        "name": form.name,
        "title": form.title,
        "enabled": form.enabled,
        "url": f"{rt.settings.base_url}/f/{form.uid}",
    }
