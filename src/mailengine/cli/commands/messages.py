"""`mailengine send`, `mailengine delivery messages`, `mailengine tenant sender`: mail that is no campaign's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.files import read_text
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.delivery.transactional.senders import Sender
    from mailengine.models import Message
    from mailengine.runtime import Runtime

app = typer.Typer(help="Transactional messages: sent by themselves, not by a campaign.", no_args_is_help=True)

Status = Annotated[
    str | None, typer.Option(help="Only with this status: queued, claimed, sent, failed or skipped.")
]
Kind = Annotated[str | None, typer.Option(help="Only of this kind, such as system.")]


def send(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(help="The recipient's address.")],
    subject: Annotated[str, typer.Option(help="The subject.")],
    text: Annotated[str | None, typer.Option(help="The plain text.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="File with the plain text; - is stdin.")] = None,
    html_file: Annotated[Path | None, typer.Option(help="File with the HTML; - is stdin.")] = None,
    to_name: Annotated[str, typer.Option(help="The recipient's name.")] = "",
    sender: Annotated[
        str | None, typer.Option("--from", help='Mailbox to send as, such as "Acme <desk@example.org>".')
    ] = None,
    kind: Annotated[str, typer.Option(help="What it is for; stands in the list of messages.")] = "notice",
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: a second call with it queues nothing.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Queue one message to one person; the daemon sends it ahead of every campaign."""
    from mailengine.cli.running import daemon_runs
    from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message

    plain, html = _bodies(text, text_file, html_file)
    message = OutgoingMessage(
        to=to,
        subject=subject,
        text=plain,
        html=html,
        to_name=to_name,
        kind=kind,
        idempotency_key=key,
        sender=sender,
    )

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.write(scope) as tx:
            message_id = await queue_message(tx, scope, message, now=rt.clock.now())
        return {"id": message_id, "daemon": await daemon_runs(rt)}

    queued = in_tenant(ctx, work)
    if not queued["daemon"]:
        output.note("no daemon runs; it is sent when `mailengine daemon` starts")
    output.emit(queued, as_json=as_json)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Status = None,
    kind: Kind = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List messages, newest first; failed ones with the server's words."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.delivery.transactional.messages import list_messages
    from mailengine.models import MessageStatus

    if status is not None and status not in set(MessageStatus):
        raise InvalidInput(f"--status {status}: choose from {', '.join(MessageStatus)}")

    async def work(rt: "Runtime", scope: "Scope") -> "Page[Message]":
        async with rt.db.read(scope) as tx:
            return await list_messages(
                tx,
                scope,
                status=MessageStatus(status) if status else None,
                kind=kind,
                request=PageRequest(limit, cursor),
            )

    emit_page(
        in_tenant(ctx, work),
        _shown,
        ("id", "kind", "address", "subject", "status", "attempts", "words", "created_at"),
        empty="no messages",
        as_json=as_json,
    )


@app.command()
def show(
    ctx: typer.Context,
    message_id: Annotated[int, typer.Argument(metavar="ID", help="As `messages list` shows it.")],
    as_json: output.Json = False,
) -> None:
    """Show what became of one message; its body may hold secrets and is never shown."""
    from mailengine.domain.delivery.transactional.messages import get_message

    async def work(rt: "Runtime", scope: "Scope") -> "Message":
        async with rt.db.read(scope) as tx:
            return await get_message(tx, scope, message_id=message_id)

    output.emit(_shown(in_tenant(ctx, work)), as_json=as_json)


@app.command()
def requeue(
    ctx: typer.Context,
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this one; can be repeated.")] = None,
    cause: Annotated[str | None, typer.Option(help="Only of this cause, such as auth.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every message that failed.")] = False,
    as_json: output.Json = False,
) -> None:
    """Try messages again that failed; their bodies are kept for 7 days."""
    from mailengine.domain.delivery.transactional import messages

    if not (ids or cause or everything):
        raise InvalidInput("say which: --id, --cause, or --all")

    async def work(rt: "Runtime", scope: "Scope") -> int:
        async with rt.db.write(scope) as tx:
            return await messages.requeue(tx, scope, ids=ids or None, cause=cause, now=rt.clock.now())

    output.emit({"requeued": in_tenant(ctx, work)}, as_json=as_json)


def sender(
    ctx: typer.Context,
    mailbox: Annotated[
        str | None, typer.Argument(help='Such as "Acme <desk@example.org>"; without it the sender is shown.')
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Back to noreply@ the sending domain.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show or set who transactional mail is from where nobody says otherwise."""
    from mailengine.domain.delivery.transactional import senders

    if clear and mailbox is not None:
        raise InvalidInput("give a mailbox or --clear, not both")
    wanted = senders.parse_sender(mailbox) if mailbox is not None else None

    async def work(rt: "Runtime", scope: "Scope") -> "Sender":
        if wanted is None and not clear:
            async with rt.db.read(scope) as tx:
                return await senders.default_sender(tx, scope)
        async with rt.db.write(scope) as tx:
            if wanted is not None:
                await senders.set_default_sender(tx, scope, sender=wanted, now=rt.clock.now())
            else:
                await senders.clear_default_sender(tx, scope, now=rt.clock.now())
            return await senders.default_sender(tx, scope)

    found = in_tenant(ctx, work)
    output.emit({"name": found.name, "address": found.email}, as_json=as_json)


def _bodies(text: str | None, text_file: Path | None, html_file: Path | None) -> tuple[str, str]:
    """Plain text and HTML; the text is made from the HTML where only that is given."""
    if text is not None and text_file is not None:
        raise InvalidInput("give --text or --text-file, not both")
    html = read_text(html_file, what="message") if html_file is not None else ""
    if text_file is not None:
        return read_text(text_file, what="message"), html
    if text is not None:
        return text, html
    if not html:
        raise InvalidInput("a message needs --text, --text-file or --html-file")
    from mailengine.mail.html_text import html_to_text

    return html_to_text(html), html


def _shown(message: "Message") -> dict[str, Any]:
    return {
        "id": message.id,
        "kind": message.kind,
        "address": message.email,
        "from": message.from_email,
        "subject": message.subject,
        "status": message.status,
        "attempts": message.attempts,
        "cause": message.cause,
        "words": message.last_reply,
        "created_at": message.created_at,
        "due_at": message.scheduled_at,
        "finished_at": message.finished_at,
    }
