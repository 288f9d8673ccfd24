"""Templates: every save is a version, sanitised before it is stored.

`prepare` does what takes CPU (sanitising, text) outside any transaction; `save` stores the result. A source that
does not parse is refused; a tag that no contact has yet is only reported, because the contacts may come later:
the checklist refuses it before a send.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.contacts.queries import contains
from mailengine.domain.content.blocks import all_blocks
from mailengine.domain.content.merge import Problem, check, resolve_blocks
from mailengine.domain.content.sanitise import Removal, sanitise
from mailengine.domain.content.snapshots import Sources
from mailengine.mail.html_text import html_to_text
from mailengine.models import Campaign, Template, TemplateVersion
from mailengine.models.campaigns import CampaignState


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source ready to be stored; `removed` is what sanitising took out."""

    source: str
    html: str
    text: str
    text_is_own: bool
    removed: Sequence[Removal] = ()
    unknown: Sequence[Problem] = field(default=())


async def prepare(source: str, *, own_text: str | None = None, known: Collection[str]) -> Prepared:
    """Sanitise and check, in a thread; raises InvalidInput with the line of a fault."""
    return await asyncio.to_thread(_prepare, source, own_text, known)


def _prepare(source: str, own_text: str | None, known: Collection[str]) -> Prepared:
    if not source.strip():
        raise InvalidInput("the template is empty")
    _require_usable("template", source, known)  # as written: in a clean page an unclosed tag is but text
    if own_text is not None:
        _require_usable("text", own_text, known)
    clean = sanitise(source)
    text = own_text if own_text is not None else html_to_text(clean.html)
    problems = _require_usable("template", clean.html, known) + _require_usable("text", text, known)
    unknown = {problem.name: problem for problem in problems}
    return Prepared(
        source, clean.html, text, own_text is not None, list(clean.removed), list(unknown.values())
    )


def _require_usable(what: str, source: str, known: Collection[str]) -> list[Problem]:
    """The unknown tags of a source; raises InvalidInput for anything worse."""
    problems = check(_no_blocks(source), known=known)
    fatal = next((problem for problem in problems if problem.kind != "unknown_tag"), None)
    if fatal is not None:
        raise InvalidInput(f"the {what} cannot be used: {fatal.message}")
    return problems


class _AnyBlock(dict[str, str]):
    """Every block, empty: whether a block exists is asked when it is needed, not when a template is saved."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return ""


def _no_blocks(source: str) -> str:
    return resolve_blocks(source, _AnyBlock())


async def add(
    tx: WriteTx, scope: Scope, *, name: str, category: str = "", prepared: Prepared, now: datetime
) -> Template:
    """A new template; raises Conflict when the name is taken."""
    scope.require(Grant.EDIT)
    name = _checked_name(name)
    template = Template(
        tenant_id=scope.tenant_id,
        name=name,
        category=_checked_category(category),
        created_at=now,
        updated_at=now,
    )
    await _store(tx, template, name)
    await _add_version(tx, scope, template, prepared, now)
    await audit.record(tx, scope, "template.create", "template", template.id, now=now)
    return template


async def update(
    tx: WriteTx,
    scope: Scope,
    *,
    template_id: int,
    name: str | None = None,
    category: str | None = None,
    prepared: Prepared | None = None,
    now: datetime,
) -> Template:
    """Change what is given; new content becomes a new version."""
    scope.require(Grant.EDIT)
    template = await get(tx, scope, template_id=template_id)
    if name is not None:
        template.name = _checked_name(name)
    if category is not None:
        template.category = _checked_category(category)
    if prepared is not None:
        template.version += 1
        await _add_version(tx, scope, template, prepared, now)
    template.updated_at = now
    await _store(tx, template, template.name)
    await audit.record(tx, scope, "template.update", "template", template.id, now=now)
    return template


async def duplicate(tx: WriteTx, scope: Scope, *, template_id: int, name: str, now: datetime) -> Template:
    """A new template with the newest content of another."""
    source = await get(tx, scope, template_id=template_id)
    version = await newest(tx, scope, template_id=template_id)
    copied = Prepared(version.source, version.html, version.text, version.text_is_own)
    return await add(tx, scope, name=name, category=source.category, prepared=copied, now=now)


async def delete(tx: WriteTx, scope: Scope, *, template_id: int, now: datetime) -> Template:
    """Soft delete; raises Conflict while a draft uses it. Campaigns under way have their snapshot."""
    scope.require(Grant.EDIT)
    template = await get(tx, scope, template_id=template_id)
    used = await tx.scalar(
        owned(Campaign, scope).where(
            col(Campaign.template_id) == template_id,
            col(Campaign.state).in_((CampaignState.DRAFT, CampaignState.SCHEDULED)),
            col(Campaign.deleted_at).is_(None),
        )
    )
    if used is not None:
        what = "draft" if used.state == CampaignState.DRAFT else "scheduled campaign"
        raise Conflict(f"template {template.name} is used by the {what} {used.name}")
    template.deleted_at = now
    await audit.record(tx, scope, "template.delete", "template", template.id, now=now)
    return template


async def get(tx: ReadTx, scope: Scope, *, template_id: int) -> Template:
    """Raises NotFound."""
    template = await tx.scalar(
        owned(Template, scope).where(col(Template.id) == template_id, col(Template.deleted_at).is_(None))
    )
    if template is None:
        raise NotFound(f"there is no template {template_id}")
    return template


async def get_template(tx: ReadTx, scope: Scope, *, name: str) -> Template:
    """Raises NotFound."""
    template = await tx.scalar(
        owned(Template, scope).where(col(Template.name) == name, col(Template.deleted_at).is_(None))
    )
    if template is None:
        raise NotFound(f"there is no template called {name}; see `mailengine template list`")
    return template


async def list_templates(
    tx: ReadTx,
    scope: Scope,
    *,
    category: str | None = None,
    text: str = "",
    request: PageRequest | None = None,
) -> Page[Template]:
    """By age, oldest first; `text` restricts to names that hold it."""
    query = owned(Template, scope).where(col(Template.deleted_at).is_(None))
    if category is not None:
        query = query.where(col(Template.category) == category)
    if text:
        query = query.where(contains(col(Template.name), text))
    return await keyset_page(tx, query, col(Template.id), request or PageRequest())


async def newest(tx: ReadTx, scope: Scope, *, template_id: int) -> TemplateVersion:
    """The content of a template, also of a deleted one."""
    version = await tx.scalar(
        owned(TemplateVersion, scope)
        .where(col(TemplateVersion.template_id) == template_id)
        .order_by(col(TemplateVersion.version).desc())
        .limit(1)
    )
    if version is None:
        raise NotFound(f"there is no template {template_id}")
    return version


async def sources_of(tx: ReadTx, scope: Scope, *, template_id: int, subject: str) -> Sources:
    """What a message is made of: newest version, shared blocks filled in; generated text follows them."""
    version = await newest(tx, scope, template_id=template_id)
    blocks = await all_blocks(tx, scope)
    html = resolve_blocks(version.html, blocks)
    if version.text_is_own:
        text = resolve_blocks(version.text, blocks)
    else:
        text = version.text if html == version.html else html_to_text(html)
    return Sources(subject=subject, html=html, text=text)


async def _add_version(
    tx: WriteTx, scope: Scope, template: Template, prepared: Prepared, now: datetime
) -> None:
    assert template.id is not None
    tx.add(
        TemplateVersion(
            tenant_id=scope.tenant_id,
            template_id=template.id,
            version=template.version,
            source=prepared.source,
            html=prepared.html,
            text=prepared.text,
            text_is_own=prepared.text_is_own,
            created_at=now,
            created_by=scope.actor,
        )
    )
    await tx.flush()


async def _store(tx: WriteTx, template: Template, name: str) -> None:
    tx.add(template)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(f"there is already a template called {name}") from error


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise InvalidInput("a template's name must have 1 to 200 characters")
    return name


def _checked_category(category: str) -> str:
    category = " ".join(category.split())
    if len(category) > 100:
        raise InvalidInput("a category must have at most 100 characters")
    return category
