"""The installation that the demo sends from, made by the same use cases as the commands."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from mailengine.cli.demo.examples import example
from mailengine.cli.installation import prepare
from mailengine.core.config import Settings
from mailengine.core.errors import Conflict
from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.domain.accounts.setup import create_owned_tenant
from mailengine.domain.accounts.tenants import check_tenant, scope_in
from mailengine.domain.accounts.users import hash_password
from mailengine.domain.campaigns.campaigns import Fields, create
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.content import templates
from mailengine.domain.content.values import BUILT_IN_TAGS
from mailengine.domain.senders import domains, relays
from mailengine.models import Tls
from mailengine.runtime import Runtime, secret_path

ORGANISATION = "Harbour Letters"
ADMIN = "admin@example.org"
DOMAIN = "example.org"
LIST = "Readers"
TEMPLATE = "Newsletter"
CAMPAIGN = "Spring news"
SUBJECT = "{Spring news|News for spring|The spring letter}, {{ first_name|default('dear reader') }}"
_INSTANCE = InstanceScope("demo")


@dataclass(frozen=True, slots=True)
class Account:
    """The demo's only user."""

    email: str
    password: str


async def make_database(settings: Settings) -> None:
    """Directory, secret and schema; raises Conflict where there is an installation already."""
    if secret_path(settings).exists():
        raise Conflict(f"{settings.data_dir} holds an installation already; give the demo another --data-dir")
    await prepare(settings)


async def make_tenant(rt: Runtime) -> tuple[Scope, Account]:
    """The organisation and its owner, with a password nobody else has."""
    account = Account(ADMIN, secrets.token_urlsafe(9))
    details = check_tenant(
        name=ORGANISATION, country="GB", postal_address="Quay House, 4 Dock Road, Leeds LS1 4AB"
    )
    password_hash = await hash_password(account.password)
    async with rt.db.write(_INSTANCE) as tx:
        tenant = await create_owned_tenant(
            tx,
            _INSTANCE,
            details=details,
            email=account.email,
            password_hash=password_hash,
            now=rt.clock.now(),
        )
    return scope_in(tenant, _INSTANCE), account


async def add_sender(rt: Runtime, scope: Scope, *, port: int) -> str:
    """The catcher as relay and example.org with its DKIM key; returns the key's selector."""
    details = relays.check_relay(name="catcher", host="127.0.0.1", port=port, tls=Tls.NONE)
    key = await domains.new_key()
    now = rt.clock.now()
    async with rt.db.write(scope) as tx:
        await relays.add(tx, scope, details=details, keyring=rt.keyring, now=now)
        made = await domains.add_domain(tx, scope, domain=DOMAIN, key=key, keyring=rt.keyring, now=now)
    return made.keys[0].selector


async def import_contacts(rt: Runtime, scope: Scope, path: Path) -> ImportReport:
    around = Surroundings(rt.db, rt.clock, rt.settings.data_dir, rt.keyring.derive_for_ever(HASH_PURPOSE))
    return await import_file(around, scope, ImportRequest(path, LIST))


async def add_template(
    rt: Runtime, scope: Scope, *, file: str = "newsletter.html", name: str = TEMPLATE
) -> None:
    async with rt.db.read(scope) as read:
        known = BUILT_IN_TAGS | set(await attribute_labels(read, scope))
    source = example(file).read_text(encoding="utf-8")
    prepared = await templates.prepare(source, known=known)
    async with rt.db.write(scope) as tx:
        await templates.add(tx, scope, name=name, prepared=prepared, now=rt.clock.now())


async def draft(
    rt: Runtime, scope: Scope, *, name: str = CAMPAIGN, template: str = TEMPLATE, subject: str = SUBJECT
) -> CampaignId:
    fields = Fields(
        name=name,
        template=template,
        lists=[LIST],
        subject=subject,
        sender=f"{ORGANISATION} <letters@{DOMAIN}>",
    )
    async with rt.db.write(scope) as tx:
        campaign = await create(tx, scope, fields, now=rt.clock.now())
    assert campaign.id is not None
    return CampaignId(campaign.id)
