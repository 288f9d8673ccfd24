"""What no face does any more and older data may hold."""

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.contacts.tags import tag_key
from mailengine.models import Tag


async def lose_tag(tx: WriteTx, scope: Scope, name: str) -> None:
    """It is gone, and what names it does not know."""
    tags = table_of(Tag)
    await tx.execute(sa.delete(tags).where(tags.c.tenant_id == scope.tenant_id, tags.c.key == tag_key(name)))
