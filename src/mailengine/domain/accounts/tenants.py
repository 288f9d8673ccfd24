"""Tenants: the organisations that one installation sends for. A self-hoster has one and never names it."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.ids import TenantId
from mailengine.core.paging import Page, PageRequest
from mailengine.core.scope import Grant, InstanceScope, Scope
from mailengine.core.zones import zone_of
from mailengine.db.keyset import keyset_page
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.countries import check_country
from mailengine.models import Tenant

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LISTED = 10  # slugs named in a message; more would bury it


@dataclass(frozen=True, slots=True)
class TenantDetails:
    """What was checked and can be stored."""

    slug: str
    name: str
    country: str
    postal_address: str


def check_tenant(*, name: str, country: str, postal_address: str, slug: str | None = None) -> TenantDetails:
    """Check what a person gave; raises InvalidInput with what to give instead."""
    name = check_name(name)
    slug = slug if slug is not None else slug_of(name)
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(f"{slug!r} cannot name a tenant; use up to 63 of a-z, 0-9 and hyphens inside")
    return TenantDetails(slug, name, check_country(country), check_address(postal_address))


def check_name(name: str) -> str:
    """An organisation's name with its spaces in order; raises InvalidInput."""
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise InvalidInput("the organisation's name must have 1 to 200 characters")
    return name


def check_address(postal_address: str) -> str:
    """The lines of a postal address as one, parted by commas; raises InvalidInput."""
    lines = (" ".join(line.split()).rstrip(",") for line in postal_address.splitlines())
    address = ", ".join(line for line in lines if line)
    if not address or len(address) > 500:
        raise InvalidInput("the postal address must have 1 to 500 characters; every message has to show it")
    return address


def slug_of(name: str) -> str:
    """`Müller & Söhne` as `muller-sohne`; a name in a script that has no ASCII form is called `tenant`."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name)[:63].strip("-") or "tenant"


async def free_slug(tx: ReadTx, slug: str) -> str:
    """The slug, or with a number behind it where it is taken: `acme-2`."""
    like = sa.select(col(Tenant.slug)).where(col(Tenant.slug).startswith(slug[:58], autoescape=True))
    taken = set(await tx.scalars(like))
    candidates = (slug, *(f"{slug[:58]}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)


async def create_tenant(
    tx: WriteTx,
    instance: InstanceScope,
    *,
    name: str,
    country: str,
    postal_address: str,
    slug: str | None = None,
    now: datetime,
) -> Tenant:
    """Add an organisation; raises Conflict when its slug is taken."""
    details = check_tenant(name=name, country=country, postal_address=postal_address, slug=slug)
    tenant = Tenant(
        slug=details.slug,
        name=details.name,
        country=details.country,
        postal_address=details.postal_address,
        created_at=now,
    )
    tx.add(tenant)
    try:
        await tx.flush()
    except IntegrityError as error:
        raise Conflict(
            f"there is already a tenant called {details.slug}; choose another name with --slug"
        ) from error
    await audit.record(tx, scope_in(tenant, instance), "tenant.create", "tenant", tenant.id, now=now)
    return tenant


async def find_tenant(tx: ReadTx, instance: InstanceScope, *, slug: str) -> Tenant:
    """The tenant with this slug; raises NotFound."""
    tenant = await tx.scalar(sa.select(Tenant).where(col(Tenant.slug) == slug))
    if tenant is None:
        raise NotFound(f"there is no tenant called {slug}")
    return tenant


async def get_tenant(tx: ReadTx, scope: Scope) -> Tenant:
    """The scope's own tenant."""
    tenant = await tx.get(Tenant, scope.tenant_id)
    if tenant is None:
        raise NotFound("the tenant is not there any more")
    return tenant


@dataclass(frozen=True, slots=True)
class TenantChange:
    """None leaves a value as it is; an address of a page that is "" is none."""

    name: str | None = None
    country: str | None = None
    postal_address: str | None = None
    time_zone: str | None = None
    privacy_url: str | None = None
    terms_url: str | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None


async def update_tenant(tx: WriteTx, scope: Scope, change: TenantChange, *, now: datetime) -> Tenant:
    """Change what the organisation is called, where it is, and what its campaigns begin with."""
    scope.require(Grant.MANAGE)
    tenant, changed = await get_tenant(tx, scope), False
    for part in fields(change):
        given = getattr(change, part.name)
        if given is None:
            continue
        value = _CHECKS[part.name](given)
        changed = changed or value != getattr(tenant, part.name)
        setattr(tenant, part.name, value)
    if changed:
        await audit.record(tx, scope, "tenant.update", "tenant", tenant.id, now=now)
    return tenant


def check_zone(name: str) -> str:
    """Raises InvalidInput for a time zone that is none."""
    return zone_of(name.strip()).key


def check_link(text: str) -> str:
    """The address of a page of theirs, or nothing; raises InvalidInput for what no link of ours may lead to."""
    url = text.strip()
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 500
    if url and not (
        plain and parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    ):
        raise InvalidInput("the address must look like https://example.org/privacy")
    return url


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": check_name,
    "country": check_country,
    "postal_address": check_address,
    "time_zone": check_zone,
    "privacy_url": check_link,
    "terms_url": check_link,
    "track_opens": bool,
    "track_clicks": bool,
}


async def list_tenants(
    tx: ReadTx, instance: InstanceScope, *, request: PageRequest | None = None
) -> Page[Tenant]:
    """Tenants by slug."""
    return await keyset_page(tx, sa.select(Tenant), col(Tenant.slug), request or PageRequest())


async def names_of(tx: ReadTx, instance: InstanceScope, *, ids: list[int]) -> dict[int, str]:
    """What organisations are called, by id."""
    rows = await tx.scalars(sa.select(Tenant).where(col(Tenant.id).in_(ids)))
    return {row.id: row.name for row in rows if row.id is not None}


async def slugs(tx: ReadTx, instance: InstanceScope, *, ids: list[int]) -> dict[int, str]:
    """The slugs of tenants by id."""
    rows = await tx.scalars(sa.select(Tenant).where(col(Tenant.id).in_(ids)))
    return {row.id: row.slug for row in rows if row.id is not None}


async def cli_scope(tx: ReadTx, instance: InstanceScope, *, slug: str | None) -> Scope:
    """The scope of a command: the tenant that was named, else the only one.

    Raises Conflict, listing the tenants, when there are several to choose from.
    """
    if slug is not None:
        return scope_in(await find_tenant(tx, instance, slug=slug), instance)
    tenants = (await list_tenants(tx, instance, request=PageRequest(limit=_LISTED))).items
    if not tenants:
        raise NotFound("there is no tenant yet; run `mailengine init` or `mailengine tenant add`")
    if len(tenants) > 1:
        slugs = ", ".join(tenant.slug for tenant in tenants)
        raise Conflict(f"there are several tenants; choose one with --tenant: {slugs}")
    return scope_in(tenants[0], instance)


def scope_in(tenant: Tenant, instance: InstanceScope) -> Scope:
    """The operator of the installation, acting inside one tenant with every grant."""
    assert tenant.id is not None
    return Scope(
        TenantId(tenant.id), actor=instance.actor, request_id=instance.request_id, address=instance.address
    )
