"""`mailengine template preview|test`: a template as one contact would see it, on the screen or in a mailbox."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailengine.cli import output
from mailengine.cli.commands.templates import Name, app
from mailengine.cli.session import in_tenant, settings_of
from mailengine.core.errors import InvalidInput, Unavailable

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.content.render import Rendered
    from mailengine.domain.delivery.smtp import ProbeReport
    from mailengine.runtime import Runtime

__all__ = ["app"]  # the noun's app, with these commands on it

Subject = Annotated[str, typer.Option(help="Subject line to try, merge tags and all.")]


@app.command()
def preview(
    ctx: typer.Context,
    contact: Annotated[str, typer.Option(help="Address of the contact who sees it.")],
    name: Annotated[str | None, typer.Argument(help="The template's name.")] = None,
    named: Annotated[str | None, typer.Option("--name", help="The same, as an option.")] = None,
    subject: Subject = "",
    file: Annotated[Path | None, typer.Option("--output", help="Write the HTML to this file.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Show the HTML in a browser.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show a template as one contact would see it."""
    chosen = name or named
    if chosen is None:
        raise InvalidInput("say which template: `mailengine template preview NAME --contact ADDRESS`")
    base_url = settings_of(ctx).base_url
    seen = in_tenant(ctx, lambda rt, scope: preview_of(rt, scope, chosen, contact, subject, base_url))
    _keep(seen, file, chosen, browser=browser)
    shown = {"subject": seen.subject, "html": seen.html, "text": seen.text}

    def text() -> None:
        output.line(f"Subject: {output.one_line(seen.subject)}\n")
        output.line(seen.text)

    output.emit(shown, as_json=as_json, text=text)


@app.command("test")
def try_(
    ctx: typer.Context,
    name: Name,
    address: Annotated[str, typer.Argument(help="Where to send it.")],
    contact: Annotated[str | None, typer.Option(help="Merge this contact; default: the addressee.")] = None,
    relay: Annotated[str | None, typer.Option(help="Relay to send by; default: the first.")] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help='"Name <address>"; default: news@ your first domain.')
    ] = None,
    subject: Subject = "",
    as_json: output.Json = False,
) -> None:
    """Send one real message of a template to yourself; its subject begins with [Test]."""
    from mailengine.domain.delivery.rehearse import Trial, send_template

    settings = settings_of(ctx)
    trial = Trial(name, address, contact=contact, relay=relay, sender=sender, subject=subject)

    async def work(rt: "Runtime", scope: "Scope") -> "ProbeReport":
        return await send_template(
            rt.db, scope, trial, keyring=rt.keyring, settings=settings, now=rt.clock.now()
        )

    report = in_tenant(ctx, work)
    last = report.steps[-1]
    if not report.ok:
        raise Unavailable(f"the test message was not sent: {last.name}: {last.words}")
    output.emit({"sent": True, "to": address, "template": name, "reply": last.words}, as_json=as_json)


async def preview_of(
    rt: "Runtime", scope: "Scope", name: str, contact: str, subject: str, base_url: str
) -> "Rendered":
    """What `template preview` and `debug render` show."""
    from mailengine.domain.accounts.tenants import get_tenant
    from mailengine.domain.contacts.contacts import get_contact
    from mailengine.domain.content.preview import literal, person_of, preview
    from mailengine.domain.content.templates import get_template, sources_of

    async with rt.db.read(scope) as tx:
        template = await get_template(tx, scope, name=name)
        sources = await sources_of(tx, scope, template_id=template.id or 0, subject=subject or literal(name))
        person = person_of(await get_contact(tx, scope, address=contact))
        tenant = await get_tenant(tx, scope)
    return await preview(sources, person, tenant, base_url=base_url)


def _keep(seen: "Rendered", file: Path | None, name: str, *, browser: bool) -> None:
    if file is None and not browser:
        return
    if file is None:
        import tempfile

        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False) as kept:
            file = Path(kept.name)
    try:
        file.write_text(seen.html)
    except OSError as error:
        raise InvalidInput(f"cannot write {file}: {error.strerror}") from error
    output.note(f"{output.one_line(name)} is in {file}")
    if browser:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())
