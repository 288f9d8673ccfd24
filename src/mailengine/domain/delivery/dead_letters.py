"""Dead letters: messages that were given up, with the server's words; and the way back into the queue.

A letter stands for exactly one failed task. Back in the queue the task has no letter any more, its retries begin
anew, and its campaign must be under way: `campaigns.retry` sees to that and is what faces call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx, touched
from mailengine.domain.contacts.queries import contains
from mailengine.models import CampaignTotals, Contact, ContactState, DeadLetter, EmailTask, TaskStatus


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which letters; None does not restrict."""

    campaign_id: int | None = None
    cause: str | None = None
    ids: Sequence[int] | None = None
    text: str = ""  # in the address or the server's words


@dataclass(frozen=True, slots=True)
class CauseFigures:
    """How many letters of a campaign have a cause, and what a server said to the last of them."""

    cause: str
    count: int
    code: int
    words: str


async def list_letters(
    tx: ReadTx, scope: Scope, chosen: Chosen, *, request: PageRequest | None = None
) -> Page[DeadLetter]:
    """Newest first."""
    query = owned(DeadLetter, scope).where(*_matches(chosen))
    return await keyset_page(tx, query, col(DeadLetter.id), request or PageRequest(), newest_first=True)


async def get_letter(tx: ReadTx, scope: Scope, *, letter_id: int) -> DeadLetter:
    """Raises NotFound."""
    letter = await tx.scalar(owned(DeadLetter, scope).where(col(DeadLetter.id) == letter_id))
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return letter


async def causes(tx: ReadTx, scope: Scope, *, campaign_id: int) -> list[CauseFigures]:
    """A campaign's failures by cause, most frequent first."""
    letters = table_of(DeadLetter).c
    counted = (
        sa.select(letters.cause, sa.func.count().label("count"), sa.func.max(letters.id).label("last"))
        .where(letters.tenant_id == scope.tenant_id, letters.campaign_id == campaign_id)
        .group_by(letters.cause)
        .subquery()
    )
    rows = await tx.execute(
        sa.select(counted.c.cause, counted.c.count, letters.code, letters.reply)
        .join(table_of(DeadLetter), letters.id == counted.c.last)
        .where(letters.tenant_id == scope.tenant_id)
        .order_by(counted.c.count.desc(), counted.c.cause)
    )
    return [CauseFigures(*row) for row in rows]


async def all_causes(tx: ReadTx, scope: Scope) -> list[str]:
    """Every cause that a letter of the tenant has."""
    letters = table_of(DeadLetter).c
    rows = await tx.scalars(
        sa.select(letters.cause)
        .where(letters.tenant_id == scope.tenant_id)
        .distinct()
        .order_by(letters.cause)
    )
    return [str(cause) for cause in rows]


async def campaigns_of(tx: ReadTx, scope: Scope, chosen: Chosen) -> list[int]:
    """The campaigns that the chosen letters belong to."""
    letters = table_of(DeadLetter).c
    rows = await tx.scalars(
        sa.select(letters.campaign_id)
        .where(letters.tenant_id == scope.tenant_id, *_matches(chosen))
        .distinct()
        .order_by(letters.campaign_id)
    )
    return list(rows)


async def count(tx: ReadTx, scope: Scope, chosen: Chosen) -> int:
    letters = table_of(DeadLetter).c
    query = sa.select(sa.func.count()).where(letters.tenant_id == scope.tenant_id, *_matches(chosen))
    return await tx.scalar(query) or 0


async def revive(tx: WriteTx, scope: Scope, chosen: Chosen, *, campaign_id: int, now: datetime) -> int:
    """Put a campaign's chosen failures back into the queue; returns how many.

    Whoever cannot be mailed any more (a bounce marked the contact) stays a dead letter: the gate would only skip
    them, and the server's words would be lost.
    """
    scope.require(Grant.SEND)
    tasks, letters, contacts = table_of(EmailTask), table_of(DeadLetter), table_of(Contact).c
    wanted = (
        sa.select(letters.c.task_id)
        .join(table_of(Contact), contacts.id == letters.c.contact_id)
        .where(
            tenant_of(DeadLetter) == scope.tenant_id,
            letters.c.campaign_id == campaign_id,
            *_matches(chosen),
            contacts.state == ContactState.SUBSCRIBED,
            contacts.deleted_at.is_(None),
        )
    )
    result = await tx.execute(
        sa.update(tasks)
        .where(
            tenant_of(EmailTask) == scope.tenant_id,
            tasks.c.id.in_(wanted),
            tasks.c.status == TaskStatus.FAILED,
        )
        .values(status=TaskStatus.QUEUED, scheduled_at=now, first_tried_at=None, finished_at=None)
    )
    revived = touched(result)
    waits_again = sa.exists().where(
        tasks.c.tenant_id == scope.tenant_id,
        tasks.c.id == letters.c.task_id,
        tasks.c.status == sa.literal_column("'queued'"),
    )
    await tx.execute(
        sa.delete(letters).where(
            tenant_of(DeadLetter) == scope.tenant_id, letters.c.campaign_id == campaign_id, waits_again
        )
    )
    totals = table_of(CampaignTotals)
    await tx.execute(
        sa.update(totals)
        .where(totals.c.tenant_id == scope.tenant_id, totals.c.campaign_id == campaign_id)
        .values(failed=totals.c.failed - revived)
    )
    return revived


def _matches(chosen: Chosen) -> list[sa.ColumnElement[bool]]:
    letters = table_of(DeadLetter).c
    found: list[sa.ColumnElement[bool]] = []
    if chosen.campaign_id is not None:
        found.append(letters.campaign_id == chosen.campaign_id)
    if chosen.cause is not None:
        found.append(letters.cause == chosen.cause)
    if chosen.ids is not None:
        found.append(letters.id.in_(chosen.ids))
    if chosen.text:
        found.append(sa.or_(contains(letters.email, chosen.text), contains(letters.reply, chosen.text)))
    return found
