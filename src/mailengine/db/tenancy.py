"""Tenant isolation: `owned()` starts each query, PostgreSQL's row-level security enforces it a second time.

Every table with a column `tenant_id` is owned. The transaction carries its scope to the database
(`mailengine.tenant_id`); the policies let a tenant see its own rows, and an `InstanceScope` all rows.
"""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import SQLModel

from mailengine.core.scope import AnyScope, InstanceScope, Scope

Row = TypeVar("Row", bound=SQLModel)

SETTING = "mailengine.tenant_id"
ALL_TENANTS = "*"


def owned(model: type[Row], scope: Scope) -> sa.Select[Row]:
    """`SELECT model` for the rows of the scope's tenant: where every query on an owned table starts."""
    return sa.select(model).where(tenant_of(model) == scope.tenant_id)


def table_of(model: type[SQLModel]) -> sa.Table:
    """The Core table of a model, for the bulk statements of hot paths."""
    return model.__table__  # type: ignore[attr-defined,no-any-return]


def tenant_of(model: type[SQLModel]) -> sa.ColumnElement[int]:
    """The tenant column of a table, for statements that `owned()` cannot express (updates, joins)."""
    return table_of(model).c.tenant_id


def tenant_beside(model: type[SQLModel]) -> sa.ColumnElement[int]:
    """The same for rows that are chosen by many ids. SQLite has no statistics and guesses that a tenant has ten rows:
    with the bare column it reads all of a tenant's rows to find those of the ids; no index has this expression.
    PostgreSQL has statistics of the column, and none of an expression."""
    return _Beside(tenant_of(model))


class _Beside(FunctionElement[int]):
    name = "tenant_id"  # a predicate on it is one on the tenant
    type = sa.BigInteger()
    inherit_cache = True


@compiles(_Beside)
def _bare(element: _Beside, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_Beside, "sqlite")
def _summed(element: _Beside, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)} + 0"


def owned_tables(metadata: sa.MetaData) -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if "tenant_id" in table.columns]


def setting_for(scope: AnyScope) -> str:
    """What the session variable holds while a transaction of this scope runs."""
    return ALL_TENANTS if isinstance(scope, InstanceScope) else str(scope.tenant_id)


def policy_rule() -> str:
    """Which rows a transaction sees. PostgreSQL evaluates each of these subqueries once a statement; without the
    SELECT it would read and convert the setting anew for every row, which was half of what segments took."""
    setting = f"current_setting('{SETTING}', true)"
    return (
        f"(SELECT {setting} = '{ALL_TENANTS}') "
        f"OR tenant_id = (SELECT nullif(nullif({setting}, ''), '{ALL_TENANTS}')::bigint)"
    )


def policy_statements(table: str) -> list[str]:
    """DDL that makes PostgreSQL enforce tenancy on `table`, for its owner too (FORCE)."""
    rule = policy_rule()
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} USING ({rule}) WITH CHECK ({rule})",
    ]


class UnscopedStatement(AssertionError):
    """A statement of a tenant's transaction touches an owned table without naming the tenant."""


def check_statement(statement: Any, scope: AnyScope | None) -> None:
    """Raise UnscopedStatement for a query that would be caught only by row-level security; tests run this
    on every statement."""
    if isinstance(scope, InstanceScope) or not isinstance(statement, sa.Select | sa.Update | sa.Delete):
        return
    tables = {
        node
        for node in visitors.iterate(statement)
        if isinstance(node, sa.Table) and "tenant_id" in node.columns
    }
    if isinstance(statement, sa.Update | sa.Delete) and isinstance(statement.table, sa.Table):
        tables |= {statement.table} if "tenant_id" in statement.table.columns else set()
    if tables and not _names_tenant(statement):
        names = ", ".join(sorted(table.name for table in tables))
        raise UnscopedStatement(f"no tenant predicate on {names} in: {statement}")


def _names_tenant(statement: Any) -> bool:
    return any(
        isinstance(node, sa.BinaryExpression)
        and any(getattr(side, "name", None) == "tenant_id" for side in (node.left, node.right))
        for node in visitors.iterate(statement)
    )
