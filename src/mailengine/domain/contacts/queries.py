"""SQL whose shape is odd: the rest stands in the use cases."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of
from mailengine.models import Contact, ContactTag, ListMember

_LIKE_ESCAPE = "!"  # a backslash would need doubling in both databases' literals


def escape_like(text: str) -> str:
    """`text` as itself inside a LIKE pattern."""
    for special in (_LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, _LIKE_ESCAPE + special)
    return text


def starts_with(column: Any, prefix: str) -> sa.ColumnElement[bool]:
    """A range that an index on `column` serves, whatever the collation: LIKE would need its own on each."""
    return sa.and_(column >= prefix, column < prefix + chr(0x10FFFF))


def contains(column: Any, text: str) -> sa.ColumnElement[bool]:
    """Anywhere in the column, in any case; `search` finds those that may, so that not every row is read."""
    return _like(column, text, "%")


def contains_folded(column: Any, text: str) -> sa.ColumnElement[bool]:
    """Anywhere in a column of casefolded text, such as the keys of addresses."""
    pattern = f"%{escape_like(text.casefold())}%"
    like: sa.ColumnElement[bool] = column.like(pattern, escape=_LIKE_ESCAPE)
    return like


def begins(column: Any, text: str) -> sa.ColumnElement[bool]:
    """At the beginning of the column, in any case."""
    return _like(column, text, "")


def _like(column: Any, text: str, before: str) -> sa.ColumnElement[bool]:
    """lower() of SQLite, and of PostgreSQL in the C locale, knows ASCII only: other letters are also looked for as
    they were typed and as names are written (`Åse`).
    """
    forms = {text.lower()} if text.isascii() else {text.lower(), text, text.title(), text.upper()}
    lowered = sa.func.lower(column)
    patterns = [f"{before}{escape_like(form)}%" for form in sorted(forms)]
    return sa.or_(*(lowered.like(pattern, escape=_LIKE_ESCAPE) for pattern in patterns))


def domain_of(email_key: Any) -> sa.ColumnElement[str]:
    """The part after the last @, in SQL that both databases know.

    rtrim(key, every character of key but @) strips the domain off the right end, as it holds no @; what is
    left is the local part with its @, and its length tells where the domain begins.
    """
    local = sa.func.rtrim(email_key, sa.func.replace(email_key, "@", ""))
    return sa.func.substr(email_key, sa.func.length(local) + 1)


def on_list(scope: Scope, list_id: int) -> sa.ColumnElement[bool]:
    """Asked of each contact: a set of all members would be made anew for every page."""
    table = table_of(ListMember).c
    here = sa.and_(table.list_id == list_id, table.contact_id == col(Contact.id))
    return sa.exists().where(table.tenant_id == scope.tenant_id, here)


def carries(scope: Scope, tag_ids: Any, *, few: bool = False) -> sa.ColumnElement[bool]:
    """Whether the contact carries one of the tags. `few` contacts are asked about: PostgreSQL, which otherwise reads
    all of a tag's links at once, looks up each contact's."""
    links = table_of(ContactTag).c
    here = sa.and_(links.tag_id.in_(tag_ids), links.contact_id == col(Contact.id))
    mine = links.tenant_id == scope.tenant_id
    if few:
        return sa.func.coalesce(sa.select(sa.true()).where(mine, here).limit(1).scalar_subquery(), sa.false())
    return sa.exists().where(mine, here)


def deleted_ids(scope: Scope) -> sa.Select[int]:
    """Contacts that were deleted, erased ones too."""
    contacts = table_of(Contact).c
    return sa.select(contacts.id).where(
        contacts.tenant_id == scope.tenant_id, contacts.deleted_at.is_not(None)
    )


def living(scope: Scope) -> sa.Select[Contact]:
    """The tenant's contacts but those that were deleted."""
    return owned(Contact, scope).where(col(Contact.deleted_at).is_(None))
