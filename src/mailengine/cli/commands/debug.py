"""`mailengine debug`: each pure step by hand, for support and scripts. JSON out, or the bytes themselves.

What needs no database needs no installation either.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from mailengine.cli import output
from mailengine.cli.files import read_text
from mailengine.cli.session import in_tenant, settings_of
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.domain.delivery.compose import Composed
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)

Contact = Annotated[str, typer.Option(help="Address of a contact.")]


@app.command()
def sanitise() -> None:
    """Clean the page on standard input; prints the page and what was taken out."""
    from mailengine.domain.content.sanitise import sanitise as clean

    cleaned = clean(read_text(Path("-"), what="page"))
    removed = [{"what": item.what, "line": item.where_line} for item in cleaned.removed]
    output.emit({"html": cleaned.html, "removed": removed}, as_json=True)


@app.command()
def render(
    ctx: typer.Context,
    template: Annotated[str, typer.Option(help="Name of a template.")],
    contact: Contact,
    subject: Annotated[str, typer.Option(help="Subject line to try, merge tags and all.")] = "",
) -> None:
    """Render a template for a contact: subject, HTML and text."""
    from mailengine.cli.commands.previews import preview_of

    base_url = settings_of(ctx).base_url
    seen = in_tenant(ctx, lambda rt, scope: preview_of(rt, scope, template, contact, subject, base_url))
    output.emit({"subject": seen.subject, "html": seen.html, "text": seen.text}, as_json=True)


@app.command()
def compose(
    ctx: typer.Context, campaign: Annotated[str, typer.Option(help="Name of a campaign.")], contact: Contact
) -> None:
    """Print the message that a contact would get, as it is handed to the server (RFC 5322)."""
    from mailengine.cli.commands.campaigns import id_of
    from mailengine.domain.campaigns.rehearse import rehearse

    settings = settings_of(ctx)

    async def work(rt: "Runtime", scope: "Scope") -> "Composed":
        async with rt.db.read(scope) as tx:
            campaign_id = await id_of(tx, scope, campaign)
        return await rehearse(
            rt.db, scope, campaign_id=campaign_id, address=contact,
            keyring=rt.keyring, settings=settings, now=rt.clock.now(),
        )  # fmt: skip

    output.raw(in_tenant(ctx, work).content)


@app.command()
def reply(
    text: Annotated[str, typer.Argument(help='What a server said, such as "452 4.2.2 mailbox full".')],
    stage: Annotated[str, typer.Option(help="To which command: mail, rcpt, data or final.")] = "rcpt",
) -> None:
    """Judge a server's reply: what happened, why, and whether it is tried again."""
    from mailengine.mail.replies import judge, parse_reply
    from mailengine.mail.reply_rules import Stage

    if stage not in get_args(Stage):
        raise InvalidInput(f"--stage {stage}: choose one of {', '.join(get_args(Stage))}")
    output.emit(judge(parse_reply(text), stage), as_json=True)  # type: ignore[arg-type]  # checked above


@app.command()
def address() -> None:
    """Check addresses, one a line on standard input; prints a JSON object a line."""
    for line in sys.stdin.buffer:
        output.json_line(_judged(line.rstrip(b"\r\n").decode(errors="replace")))


def _judged(text: str) -> dict[str, Any]:
    from mailengine.mail.address import AddressError, parse_address

    try:
        parsed = parse_address(text)
    except AddressError as error:
        return {"input": text, "accepted": False, "email": None, "key": None, "reason": error.reason}
    return {"input": text, "accepted": True, "email": parsed.email, "key": parsed.key, "reason": None}
