"""Custom fields: how a column's header becomes the name of a merge tag, which a tenant has, and of what kind."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.scope import Scope
from mailengine.core.wording import counted
from mailengine.db.insert import insert_new
from mailengine.db.tenancy import owned, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.contacts import attribute_values
from mailengine.domain.contacts.attribute_values import Value
from mailengine.domain.contacts.queries import contains
from mailengine.models import Attribute, AttributeKind

MAX_ATTRIBUTES = 100  # per tenant: a file of a thousand columns must not become a thousand merge tags
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

FIELDS = ("email", "first_name", "last_name", "full_name", "organisation", "postal_address")
_LINKS = ("unsubscribe_url", "view_online_url", "click_url", "open_url", "spin")
_JINJA = (
    "and as autoescape block break call caller context continue cycler debug dict do elif else endif endfor "
    "extends false filter for from if ignore import in include is joiner kwargs lipsum loop macro missing "
    "namespace none not or pluralize range raw recursive required scoped self set super trans true varargs "
    "with without"
)
RESERVED = frozenset((*FIELDS, *_LINKS, *_JINJA.split()))
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ı": "i", "þ": "th"})


def attribute_name(header: str, *, fallback: str) -> str:
    """`Date of birth` as `date_of_birth`; `fallback` for a header without a Latin letter or digit."""
    folded = unicodedata.normalize("NFKD", header.casefold().translate(_LETTERS))
    plain = folded.encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or fallback
    if not name[0].isalpha():
        name = f"x_{name}"
    name = name[:62].rstrip("_")
    return name + "_" if name in RESERVED else name


def check_attribute(name: str) -> str:
    """Raises InvalidInput for a name that a template could not refer to."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise InvalidInput(
            f"{name!r} cannot name an attribute; use a-z, 0-9 and _, a letter first, "
            "and no name that templates already have"
        )
    return name


async def list_attributes(
    tx: ReadTx, scope: Scope, *, text: str = "", kind: AttributeKind | None = None
) -> Sequence[Attribute]:
    """By name; `text` restricts to names and labels that hold it."""
    query = owned(Attribute, scope)
    if text:
        query = query.where(sa.or_(contains(col(Attribute.name), text), contains(col(Attribute.label), text)))
    if kind is not None:
        query = query.where(col(Attribute.kind) == kind)
    return (await tx.scalars(query.order_by(col(Attribute.name)))).all()


async def attribute_labels(tx: ReadTx, scope: Scope) -> dict[str, str]:
    """Name and label of every custom field of the tenant: its merge tags."""
    rows = await tx.scalars(owned(Attribute, scope).order_by(col(Attribute.name)))
    return {row.name: row.label for row in rows}


async def attribute_kinds(tx: ReadTx, scope: Scope) -> dict[str, AttributeKind]:
    """Name and kind of every custom field of the tenant."""
    rows = await tx.scalars(owned(Attribute, scope))
    return {row.name: AttributeKind(row.kind) for row in rows}


async def reconcile(
    tx: ReadTx, scope: Scope, guessed: Mapping[str, AttributeKind], said: Mapping[str, AttributeKind]
) -> dict[str, AttributeKind]:
    """The kind of each name: as it is known, else as it was said, else as it was guessed. Raises InvalidInput
    when what was said is not what is known."""
    known = await attribute_kinds(tx, scope)
    for name, kind in said.items():
        if known.get(name, kind) is not kind:
            raise InvalidInput(f"{name} is known as {known[name].value} and cannot be {kind.value} too")
    return {**guessed, **said, **{name: known[name] for name in guessed if name in known}}


async def check_room(tx: ReadTx, scope: Scope, names: Mapping[str, str]) -> None:
    """Raises InvalidInput when the tenant would get more than MAX_ATTRIBUTES custom fields."""
    known = set(
        (
            await tx.scalars(sa.select(col(Attribute.name)).where(tenant_of(Attribute) == scope.tenant_id))
        ).all()
    )
    new = [name for name in names if name not in known]
    if len(known) + len(new) > MAX_ATTRIBUTES:
        raise InvalidInput(
            f"{counted(len(new), 'new attribute', 'new attributes')} would make {len(known) + len(new)}, and "
            f"{MAX_ATTRIBUTES} is the most; "
            'leave columns out with --map "Header=ignore"'
        )


async def register(
    tx: WriteTx, scope: Scope, names: Mapping[str, str], *, kinds: Mapping[str, AttributeKind] | None = None
) -> None:
    """Make the names (name → label) known, of their kinds or text; those that are keep label and kind."""
    await check_room(tx, scope, names)
    kinds = kinds or {}
    if names:
        rows = [
            {
                "tenant_id": scope.tenant_id,
                "name": name,
                "label": label[:200],
                "kind": kinds.get(name, AttributeKind.TEXT),
            }
            for name, label in names.items()
        ]
        await tx.execute(insert_new(tx, Attribute), rows)


async def settle(tx: WriteTx, scope: Scope, given: Mapping[str, object]) -> dict[str, Value]:
    """The values as they are stored, each of its attribute's kind; new names become known. What is blank is
    left out. Raises InvalidInput for a name or a value that cannot be."""
    present = {name: value for name, value in given.items() if not _blank(value)}
    new = {check_attribute(name): attribute_values.kind_of(value) for name, value in present.items()}
    await register(tx, scope, {name: name for name in new}, kinds=new)
    kinds = await attribute_kinds(tx, scope)
    return {name: checked_value(name, kinds[name], value) for name, value in present.items()}


def checked_value(name: str, kind: AttributeKind, given: object) -> Value:
    """Raises InvalidInput for what the attribute cannot hold."""
    try:
        return attribute_values.accept(kind, given)
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}") from error


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], ())
