"""The versions of a template: every save is kept, two can be compared, and an old one can be brought back."""

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Scope
from mailengine.db.keyset import keyset_page
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.content.templates import Prepared, get, update
from mailengine.models import Template, TemplateVersion

_MAX_LINES = 5000  # comparing takes time that grows with the square of what differs
Kind = Literal["same", "added", "removed", "place"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a comparison; `place` says where in the source the next ones stand."""

    kind: Kind
    text: str


async def list_versions(
    tx: ReadTx, scope: Scope, *, template_id: int, request: PageRequest | None = None
) -> Page[TemplateVersion]:
    """Newest first; raises NotFound."""
    await get(tx, scope, template_id=template_id)
    query = owned(TemplateVersion, scope).where(col(TemplateVersion.template_id) == template_id)
    return await keyset_page(
        tx, query, col(TemplateVersion.version), request or PageRequest(), newest_first=True
    )


async def get_version(tx: ReadTx, scope: Scope, *, template_id: int, version: int) -> TemplateVersion:
    """Raises NotFound."""
    await get(tx, scope, template_id=template_id)
    found = await tx.scalar(
        owned(TemplateVersion, scope).where(
            col(TemplateVersion.template_id) == template_id, col(TemplateVersion.version) == version
        )
    )
    if found is None:
        raise NotFound(f"the template has no version {version}")
    return found


async def difference(old: TemplateVersion, new: TemplateVersion) -> Sequence[Line]:
    """What changed in the source, in a thread; empty when nothing did."""
    return await asyncio.to_thread(compare, old.source, new.source)


def compare(old: str, new: str) -> Sequence[Line]:
    """Both texts by lines, with three unchanged ones around each change; pure."""
    before, after = (text.splitlines()[:_MAX_LINES] for text in (old, new))
    kinds: dict[str, Kind] = {"+": "added", "-": "removed", "@": "place", " ": "same"}
    lines = list(difflib.unified_diff(before, after, lineterm=""))[2:]  # without the names of the files
    return [Line(kinds[line[0]], line if line[0] == "@" else line[1:]) for line in lines]


async def restore(tx: WriteTx, scope: Scope, *, template_id: int, version: int, now: datetime) -> Template:
    """Make an old version the newest; those after it stay. Raises NotFound."""
    old = await get_version(tx, scope, template_id=template_id, version=version)
    prepared = Prepared(old.source, old.html, old.text, old.text_is_own)
    return await update(tx, scope, template_id=template_id, prepared=prepared, now=now)


async def categories(tx: ReadTx, scope: Scope) -> list[str]:
    """Every category that a template of the tenant has."""
    templates = table_of(Template).c
    rows = await tx.scalars(
        sa.select(templates.category)
        .where(
            templates.tenant_id == scope.tenant_id, templates.deleted_at.is_(None), templates.category != ""
        )
        .distinct()
        .order_by(templates.category)
    )
    return [str(name) for name in rows]
