"""`mailengine delivery`: messages in doubt and dead letters, and what a person decides about them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailengine.cli import output
from mailengine.cli.answers import confirm
from mailengine.cli.commands import messages
from mailengine.cli.commands.campaigns import id_of
from mailengine.cli.pages import Cursor, Limit, emit_page
from mailengine.cli.session import in_tenant
from mailengine.core.errors import InvalidInput

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mailengine.core.paging import Page
    from mailengine.core.scope import Scope
    from mailengine.domain.campaigns.retry import Requeued
    from mailengine.models import DeadLetter, EmailTask
    from mailengine.runtime import Runtime

app = typer.Typer(no_args_is_help=True)
doubts_app = typer.Typer(help="Messages whose answer was never read.", no_args_is_help=True)
letters_app = typer.Typer(help="Messages that were given up.", no_args_is_help=True)
app.add_typer(doubts_app, name="doubts")
app.add_typer(letters_app, name="dead-letters")
app.add_typer(messages.app, name="messages")

Campaign = Annotated[str | None, typer.Option(help="Only of this campaign.")]
Cause = Annotated[str | None, typer.Option(help="Only of this cause, such as mailbox_full.")]
Ids = Annotated[list[int] | None, typer.Argument(help="Ids, as `doubts list` shows them.")]
AllOf = Annotated[str | None, typer.Option("--campaign", help="All that is in doubt of this campaign.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@doubts_app.command("list")
def list_doubts(
    ctx: typer.Context,
    campaign: Campaign = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List the messages that were on the wire when the answer was lost."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.delivery import doubts

    async def work(rt: "Runtime", scope: "Scope") -> "Page[EmailTask]":
        async with rt.db.read(scope) as tx:
            chosen = await _campaign_id(tx, scope, campaign)
            return await doubts.list_doubts(tx, scope, campaign_id=chosen, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _doubt_shown,
        ("id", "address", "reason", "at"),
        empty="nothing is in doubt",
        as_json=as_json,
    )


@doubts_app.command()
def settle(
    ctx: typer.Context,
    as_: Annotated[str, typer.Option("--as", help="sent: it arrived; failed: it is given up.")],
    ids: Ids = None,
    campaign: AllOf = None,
    as_json: output.Json = False,
) -> None:
    """Write down what became of messages in doubt, when you found out."""
    from mailengine.domain.delivery import doubts

    if as_ not in ("sent", "failed"):
        raise InvalidInput(f"--as {as_}: choose sent or failed")

    async def settle_some(rt: "Runtime", scope: "Scope", some: list[int]) -> int:
        async with rt.db.write(scope) as tx:
            return await doubts.settle(tx, scope, task_ids=some, accepted=as_ == "sent", now=rt.clock.now())

    done = in_tenant(ctx, _doubts(ids, campaign, settle_some))
    output.emit({"settled": done, "as": as_}, as_json=as_json)


@doubts_app.command()
def resend(
    ctx: typer.Context,
    ids: Ids = None,
    campaign: AllOf = None,
    yes: Yes = False,
    as_json: output.Json = False,
) -> None:
    """Send messages in doubt again; who got the first one gets a second."""
    from mailengine.domain.campaigns import retry

    async def resend_some(rt: "Runtime", scope: "Scope", some: list[int]) -> int:
        async with rt.db.write(scope) as tx:
            return await retry.resend(tx, scope, task_ids=some, now=rt.clock.now())

    work = _doubts(ids, campaign, resend_some)
    which = f"all that is in doubt of {campaign}" if campaign else str(len(set(ids or ())))
    confirm(f"Send {which} again? Who got the first message gets a second one.", yes=yes)
    output.emit({"queued": in_tenant(ctx, work)}, as_json=as_json)


def _doubts(
    ids: list[int] | None,
    campaign: str | None,
    act: "Callable[[Runtime, Scope, list[int]], Awaitable[int]]",
) -> "Callable[[Runtime, Scope], Awaitable[int]]":
    """Act on the ids, or on all that is in doubt of a campaign, some at a time; nobody writes for minutes."""
    from mailengine.core.paging import MAX_PAGE, PageRequest
    from mailengine.domain.delivery import doubts

    if bool(ids) == bool(campaign):
        raise InvalidInput("say which: ids as `doubts list` shows them, or --campaign")

    async def work(rt: "Runtime", scope: "Scope") -> int:
        if ids:
            return await act(rt, scope, ids)
        done, cursor = 0, None
        async with rt.db.read(scope) as tx:
            chosen = await _campaign_id(tx, scope, campaign)
        while True:
            async with rt.db.read(scope) as tx:
                page = await doubts.list_doubts(
                    tx, scope, campaign_id=chosen, request=PageRequest(MAX_PAGE, cursor)
                )
            some = [task.id for task in page.items if task.id is not None]
            if some:
                done += await act(rt, scope, some)
            if page.next is None:
                return done
            cursor = page.next

    return work


@letters_app.command("list")
def list_letters(
    ctx: typer.Context,
    campaign: Campaign = None,
    cause: Cause = None,
    search: Annotated[str, typer.Option(help="Only with this in the address or the server's words.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: output.Json = False,
) -> None:
    """List the messages that were given up, newest first, with the server's words."""
    from mailengine.core.paging import PageRequest
    from mailengine.domain.delivery.dead_letters import Chosen, list_letters

    async def work(rt: "Runtime", scope: "Scope") -> "Page[DeadLetter]":
        async with rt.db.read(scope) as tx:
            chosen = Chosen(await _campaign_id(tx, scope, campaign), cause, text=search)
            return await list_letters(tx, scope, chosen, request=PageRequest(limit, cursor))

    emit_page(
        in_tenant(ctx, work),
        _letter_shown,
        ("id", "address", "cause", "code", "words", "at"),
        empty="no dead letter fits" if campaign or cause or search else "no dead letters",
        as_json=as_json,
    )


@letters_app.command()
def show(
    ctx: typer.Context,
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="As `dead-letters list` shows it.")],
    as_json: output.Json = False,
) -> None:
    """Show one dead letter."""
    from mailengine.domain.delivery.dead_letters import get_letter
    from mailengine.domain.reports.names import names_of

    async def work(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
        async with rt.db.read(scope) as tx:
            letter = await get_letter(tx, scope, letter_id=letter_id)
            of = ("campaign", letter.campaign_id)
            campaign = (await names_of(tx, scope, [of]))[of]  # a deleted one, too
        return {**_letter_shown(letter), "campaign": campaign.name}

    output.emit(in_tenant(ctx, work), as_json=as_json)


@letters_app.command()
def requeue(
    ctx: typer.Context,
    campaign: Campaign = None,
    cause: Cause = None,
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this one; can be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter there is.")] = False,
    as_json: output.Json = False,
) -> None:
    """Try messages again that were given up; a campaign that was sent is under way again."""
    from mailengine.domain.campaigns import retry
    from mailengine.domain.delivery.dead_letters import Chosen

    if not (campaign or cause or ids or everything):
        raise InvalidInput("say which: --campaign, --cause, --id, or --all")

    async def work(rt: "Runtime", scope: "Scope") -> "Requeued":
        async with rt.db.write(scope) as tx:
            chosen = Chosen(await _campaign_id(tx, scope, campaign), cause, ids or None)
            return await retry.requeue(tx, scope, chosen, now=rt.clock.now())

    done = in_tenant(ctx, work)
    output.emit({"requeued": done.requeued, "kept": done.kept}, as_json=as_json)
    if done.kept:
        output.note("kept: contacts that cannot be mailed any more, and campaigns that were cancelled")


async def _campaign_id(tx: Any, scope: "Scope", name: str | None) -> Any:
    return None if name is None else await id_of(tx, scope, name)


def _doubt_shown(task: "EmailTask") -> dict[str, Any]:
    return {
        "id": task.id,
        "campaign_id": task.campaign_id,
        "address": task.email,
        "reason": task.last_reply,
        "attempts": task.attempts,
        "at": task.finished_at,
    }


def _letter_shown(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "campaign_id": letter.campaign_id,
        "address": letter.email,
        "cause": letter.cause,
        "code": letter.code,
        "enhanced": letter.enhanced,
        "words": letter.reply,
        "attempts": letter.attempts,
        "at": letter.at,
    }
