"""Whom an export is about: everybody, or those whom rules describe, a page at a time by id."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import ReadTx
from mailengine.domain.contacts import lists, tags
from mailengine.domain.contacts.browsing import Filter, conditions
from mailengine.domain.contacts.bulk import MAX_SELECTED
from mailengine.domain.contacts.exports.formats import Exported
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.rules import All, Compare, Everyone, Rule, from_json, to_json
from mailengine.models import Contact

PAGE = 5000


@dataclass(frozen=True, slots=True)
class Choice:
    """What all has to hold; what is None does not restrict. `where` is a text of the segments' language, `chosen` a
    filter of the contacts' page."""

    list_name: str | None = None
    segment: str | None = None
    tag: str | None = None
    state: str | None = None
    where: str | None = None
    chosen: Filter | None = None
    contact_ids: tuple[int, ...] | None = None


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


@dataclass(frozen=True, slots=True)
class Whom:
    """A choice that was checked."""

    rule: Rule
    chosen: Filter | None = None
    contact_ids: tuple[int, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As a job keeps it."""
        return {
            "rule": to_json(self.rule),
            "filter": None if self.chosen is None else self.chosen.as_dict(),
            "contact_ids": self.contact_ids,
        }

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Whom":
        chosen, ids = held.get("filter"), held.get("contact_ids")
        return cls(
            from_json(held["rule"]),
            None if chosen is None else Filter.from_dict(chosen),
            None if ids is None else tuple(ids),
        )

    def conditions(self, scope: Scope) -> list[sa.ColumnElement[bool]]:
        """What holds besides the rule."""
        found = [] if self.chosen is None else conditions(scope, self.chosen)
        if self.contact_ids is not None:
            found.append(col(Contact.id).in_(self.contact_ids))
        return found


async def whom(tx: ReadTx, scope: Scope, choice: Choice) -> Whom:
    """Raises InvalidInput for what cannot be evaluated, NotFound for a segment that is not there."""
    if choice.chosen is not None and choice.chosen.deleted:
        raise InvalidInput("deleted contacts are not exported; restore them first")
    ids = choice.contact_ids
    if ids is not None and not 1 <= len(ids) <= MAX_SELECTED:
        raise InvalidInput(f"choose 1 to {MAX_SELECTED:,} contacts, or a filter that matches them")
    return Whom(await rule_for(tx, scope, choice), choice.chosen, ids)


async def next_page(tx: ReadTx, scope: Scope, people: Whom, *, after: int, now: datetime) -> list[Exported]:
    """The next contacts by id with what belongs to them; those who were erased are not among them."""
    compiler = await find.compiler_for(tx, scope, [people.rule], now=now, above=after, frozen=True)
    condition = compiler.condition(people.rule)  # before the source: it says which sums are joined
    query = (
        sa.select(Contact)
        .select_from(compiler.source())
        .where(
            tenant_of(Contact) == scope.tenant_id,
            col(Contact.id) > after,
            col(Contact.deleted_at).is_(None),
            col(Contact.erased_at).is_(None),
            condition,
            *people.conditions(scope),
        )
    )
    found = list((await tx.scalars(query.order_by(col(Contact.id)).limit(PAGE))).all())
    ids = [person.id for person in found if person.id is not None]
    labels = await tags.tags_of(tx, scope, ids)
    on_lists = await lists.memberships(tx, scope, ids)
    return [
        Exported(person, labels.get(person.id or 0, []), on_lists.get(person.id or 0, {})) for person in found
    ]
