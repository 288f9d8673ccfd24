"""What refers to an attribute by its name: templates, shared blocks, campaigns, segments, saved mappings."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.campaigns.uses import segments_asking
from mailengine.domain.contacts.segments.rules import PREFIX, Compare, Rule, conditions, field_name, from_json
from mailengine.domain.content.blocks import list_blocks
from mailengine.domain.content.merge import used_names
from mailengine.models import Campaign, ImportMapping, Snapshot, Template, TemplateVersion


async def uses(tx: ReadTx, scope: Scope, *, name: str) -> list[str]:
    """Each in words: `the segment Customers`. Of templates the newest version counts, deleted ones are left out; of
    campaigns those that have not ended."""
    return [
        *[f"the template {found}" for found in await _templates(tx, scope, name)],
        *[f"the block {block.name}" for block in await list_blocks(tx, scope) if _reads(name, [block.html])],
        *[f"the campaign {found}" for found in await _campaigns(tx, scope, name)],
        *await segments_asking(tx, scope, name, lambda rule: _asks(name, rule)),
        *[
            f"the mapping {mapping.name}"
            for mapping in await tx.scalars(owned(ImportMapping, scope).order_by(col(ImportMapping.name)))
            if name in {str(target).partition(":")[0] for target in mapping.mapping.values()}
        ],
    ]


async def _templates(tx: ReadTx, scope: Scope, name: str) -> list[str]:
    templates, versions = table_of(Template).c, table_of(TemplateVersion).c
    newest = sa.and_(versions.template_id == templates.id, versions.version == templates.version)
    rows = await tx.execute(
        sa.select(templates.name, versions.html, versions.text)
        .join_from(Template, TemplateVersion, newest)
        .where(
            templates.tenant_id == scope.tenant_id,
            versions.tenant_id == scope.tenant_id,
            templates.deleted_at.is_(None),
            sa.or_(versions.html.contains(name), versions.text.contains(name)),
        )
        .order_by(templates.name)
    )
    return [row.name for row in rows if _reads(name, [row.html, row.text])]


async def _campaigns(tx: ReadTx, scope: Scope, name: str) -> list[str]:
    """Drafts by their subject, those under way by what was frozen at their launch."""
    campaigns, frozen = table_of(Campaign).c, table_of(Snapshot).c
    its_own = sa.and_(frozen.id == campaigns.snapshot_id, frozen.tenant_id == scope.tenant_id)
    rows = await tx.execute(
        sa.select(campaigns.name, campaigns.subject, campaigns.audience_rules, frozen.html, frozen.text)
        .join_from(Campaign, Snapshot, its_own, isouter=True)
        .where(
            campaigns.tenant_id == scope.tenant_id,
            campaigns.deleted_at.is_(None),
            campaigns.finished_at.is_(None),
        )
        .order_by(campaigns.name)
    )
    return [
        row.name
        for row in rows
        if _reads(name, [row.subject, row.html or "", row.text or ""])
        or any(_asks(name, from_json(rule)) for rules in row.audience_rules.values() for rule in rules)
    ]


def _reads(name: str, sources: Iterable[str]) -> bool:
    return any(name in source and name in _names(source) for source in sources)


def _names(source: str) -> frozenset[str]:
    try:
        return used_names(source)
    except InvalidInput:
        return frozenset()  # cannot be sent as it is, so that nothing is lost by it


def _asks(name: str, rule: Rule) -> bool:
    field = field_name(PREFIX + name)
    return any(isinstance(found, Compare) and found.field == field for _path, found in conditions(rule))
