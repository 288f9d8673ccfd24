"""Whom an export is about: everybody, or those whom rules describe, a page at a time by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import tags
from mailengine.domain.contacts.exports.formats import Exported
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.rules import All, Compare, Everyone, Rule, from_json, to_json
from mailengine.models import Contact, ContactList, ListMember

PAGE = 5000


@dataclass(frozen=True, slots=True)
class Choice:
    """What all has to hold; what is None does not restrict. `where` is a text of the segments' language."""

    list_name: str | None = None
    segment: str | None = None
    tag: str | None = None
    state: str | None = None
    where: str | None = None


async def rule_for(tx: ReadTx, scope: Scope, choice: Choice) -> Rule:
    """Raises InvalidInput for what cannot be evaluated, NotFound for a segment that is not there."""
    rules: list[Rule] = []
    for field, value in (("list", choice.list_name), ("tag", choice.tag), ("state", choice.state)):
        if value is not None:
            rules.append(await find.checked(tx, scope, Compare(field, "=", value)))
    if choice.segment is not None:
        rules.append(saved.rule_of(await saved.get(tx, scope, name=choice.segment)))
    if choice.where is not None:
        rules.append(await find.checked(tx, scope, parse(choice.where)))
    if not rules:
        return Everyone()
    return rules[0] if len(rules) == 1 else All(tuple(rules))


def stored(rule: Rule) -> Any:
    """The rule as a job keeps it."""
    return to_json(rule)


def restored(held: Any) -> Rule:
    return from_json(held)


async def next_page(tx: ReadTx, scope: Scope, rule: Rule, *, after: int, now: datetime) -> list[Exported]:
    """The next contacts by id with what belongs to them; those who were erased are not among them."""
    compiler = await find.compiler_for(tx, scope, [rule], now=now, above=after, frozen=True)
    condition = compiler.condition(rule)  # before the source: it says which sums are joined
    query = (
        sa.select(Contact)
        .select_from(compiler.source())
        .where(
            tenant_of(Contact) == scope.tenant_id,
            col(Contact.id) > after,
            col(Contact.deleted_at).is_(None),
            col(Contact.erased_at).is_(None),
            condition,
        )
    )
    people = list((await tx.scalars(query.order_by(col(Contact.id)).limit(PAGE))).all())
    ids = [person.id for person in people if person.id is not None]
    labels = await tags.tags_of(tx, scope, ids)
    lists = await _lists(tx, scope, ids)
    return [
        Exported(person, labels.get(person.id or 0, []), dict(lists.get(person.id or 0, {})))
        for person in people
    ]


async def _lists(tx: ReadTx, scope: Scope, ids: Sequence[int]) -> Mapping[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    rows = await tx.execute(
        sa.select(col(ListMember.contact_id), col(ContactList.name), col(ListMember.state))
        .join(ContactList, col(ContactList.id) == col(ListMember.list_id))
        .where(tenant_of(ListMember) == scope.tenant_id, col(ListMember.contact_id).in_(ids))
        .order_by(col(ContactList.name))
    )
    for contact_id, name, state in rows:
        found.setdefault(contact_id, {})[name] = state
    return found
