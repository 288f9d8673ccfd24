"""Addresses that somebody wrote down in words about many: a segment's rule, the title and the wish of a job.

The address alone goes, for the rest is about others. A rule that named it describes nobody by it from then on.
"""

import re
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from mailengine.core.scope import Scope
from mailengine.db.unit import WriteTx
from mailengine.domain.privacy.holdings import ERASED_DOMAIN, declared, models
from mailengine.models.personal import Hold

NOBODY = f"deleted@{ERASED_DOMAIN}"


async def unquote(tx: WriteTx, scope: Scope, addresses: Collection[str]) -> dict[str, int]:
    """Take these addresses out of all that may quote them; returns how many rows did, by table."""
    pattern, rows = addresses_in(addresses), dict[str, int]()
    for model in models():
        names = [name for name, hold in declared(model).items() if hold is Hold.QUOTE]
        if names:
            table: sa.Table = model.__table__  # type: ignore[attr-defined]
            changed = await _unquote_table(tx, scope, table, names, pattern)
            rows |= {table.name: changed} if changed else {}
    return rows


async def _unquote_table(
    tx: WriteTx, scope: Scope, table: sa.Table, names: list[str], pattern: re.Pattern[str]
) -> int:
    columns = [table.c[name] for name in names]
    quoting = sa.or_(*(sa.cast(column, sa.Text).contains("@") for column in columns))
    found = await tx.execute(
        sa.select(table.c.id, *columns).where(table.c.tenant_id == scope.tenant_id, quoting).with_for_update()
    )
    changed = 0
    for key, *values in found.all():
        without = [without_address(value, pattern) for value in values]
        if without != values:
            kept = {
                column.name: _fitting(column, value) for column, value in zip(columns, without, strict=True)
            }
            mine = sa.and_(table.c.id == key, table.c.tenant_id == scope.tenant_id)
            await tx.execute(sa.update(table).where(mine).values(kept))
            changed += 1
    return changed


def _fitting(column: sa.Column[Any], value: Any) -> Any:
    """`NOBODY` may be longer than what it replaces."""
    room = getattr(column.type, "length", None)
    return value[:room] if isinstance(value, str) and room else value


def without_address(value: Any, pattern: re.Pattern[str]) -> Any:
    """The text, or the JSON, with `NOBODY` in place of the address."""
    match value:
        case str():
            return pattern.sub(NOBODY, value)
        case list():
            return [without_address(each, pattern) for each in value]
        case dict():
            return {
                without_address(key, pattern): without_address(each, pattern) for key, each in value.items()
            }
        case _:
            return value


def addresses_in(addresses: Collection[str]) -> re.Pattern[str]:
    """Any of them in any case; `ann@example.org` is not in `joann@example.org` nor in `ann@example.org.uk`."""
    longest_first = sorted(filter(None, addresses), key=len, reverse=True)
    return re.compile(
        rf"(?<![\w.+-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-]|\.\w)", re.IGNORECASE
    )
