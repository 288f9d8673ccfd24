"""Shared blocks: pieces of HTML that templates include by name, filled in at launch."""

from datetime import datetime

from sqlmodel import col

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.models import Block

MAX_NAME = 100


async def all_blocks(tx: ReadTx, scope: Scope) -> dict[str, str]:
    """Every shared block by name."""
    return {block.name: block.html for block in await tx.scalars(owned(Block, scope))}


async def list_blocks(tx: ReadTx, scope: Scope) -> list[Block]:
    return list(await tx.scalars(owned(Block, scope).order_by(col(Block.name))))


async def save(tx: WriteTx, scope: Scope, *, name: str, html: str, now: datetime) -> Block:
    """Create or replace; `html` was sanitised (`templates.prepare`)."""
    scope.require(Grant.EDIT)
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or set(name) & set("\"'{}%"):
        raise InvalidInput(f"a block's name must have 1 to {MAX_NAME} characters, without quotes and braces")
    block = await tx.scalar(owned(Block, scope).where(col(Block.name) == name))
    if block is None:
        block = Block(tenant_id=scope.tenant_id, name=name, html=html, updated_at=now)
        tx.add(block)
    block.html, block.updated_at = html, now
    await tx.flush()
    await audit.record(tx, scope, "block.save", "block", block.id, now=now)
    return block


async def remove(tx: WriteTx, scope: Scope, *, name: str, now: datetime) -> None:
    """Raises NotFound. Templates that include it are refused by the checklist from then on."""
    scope.require(Grant.EDIT)
    block = await tx.scalar(owned(Block, scope).where(col(Block.name) == name))
    if block is None:
        raise NotFound(f"there is no block called {name}")
    await tx.delete(block)
    await audit.record(tx, scope, "block.delete", "block", block.id, now=now)
