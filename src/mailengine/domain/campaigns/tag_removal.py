"""A tag that goes. It stands above the contacts because the rules of campaigns name tags; who uses one keeps it, and
is named."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.campaigns.uses import check_unused, uses
from mailengine.models import ContactTag, Tag


async def delete_tag(tx: WriteTx, scope: Scope, *, tag_id: int, now: datetime) -> Tag:
    """Take it off everybody, and away. Raises NotFound, also for another tenant's, and Refused while something uses
    it."""
    scope.require(Grant.EDIT)
    tag = await tx.scalar(owned(Tag, scope).where(col(Tag.id) == tag_id).with_for_update())
    if tag is None:
        raise NotFound(f"there is no tag {tag_id}")
    check_unused(tag.name, await uses(tx, scope, tag))
    links = table_of(ContactTag)
    await tx.execute(sa.delete(links).where(links.c.tenant_id == scope.tenant_id, links.c.tag_id == tag_id))
    await tx.delete(tag)
    await audit.record(tx, scope, "tag.delete", "tag", tag_id, now=now)
    return tag
