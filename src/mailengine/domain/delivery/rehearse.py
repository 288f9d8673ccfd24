"""One message outside a campaign's queue: composed as the worker composes it, and sent by hand where asked.

No row is written: the snapshot lives in memory, and the message belongs to task 0, which no link and no bounce
can find.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from mailengine.core.config import Settings
from mailengine.core.errors import InvalidInput, NotFound, Refused
from mailengine.core.scope import Grant, Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts.contacts import get_contact
from mailengine.domain.content import snapshots
from mailengine.domain.content.preview import literal, person_of
from mailengine.domain.content.snapshots import Sender
from mailengine.domain.content.templates import get_template, sources_of
from mailengine.domain.content.values import Person
from mailengine.domain.delivery.compose import Composed
from mailengine.domain.delivery.smtp import ProbeReport, probe
from mailengine.domain.delivery.sources import composer_of
from mailengine.domain.delivery.transport import endpoint_of
from mailengine.domain.senders.domains import list_domains
from mailengine.domain.senders.relays import default_relay, get_relay
from mailengine.mail.address import parse_address, parse_mailbox
from mailengine.models import Relay, Snapshot, Tenant

TASK = 0
TEST_PREFIX = "[Test] "


@dataclass(frozen=True, slots=True)
class Trial:
    """What a person says about a test message; None chooses as the fields' comments say."""

    template: str
    address: str
    contact: str | None = None  # the contact of that address, else nobody's values
    relay: str | None = None  # the first
    sender: str | None = None  # news@ the first sending domain
    subject: str = ""  # the template's name


def draft_snapshot(
    built: snapshots.Built, sender: Sender, tenant: Tenant, *, campaign_id: int, now: datetime
) -> Snapshot:
    """A snapshot as `launch` would store it, in memory only."""
    assert tenant.id is not None
    return Snapshot(
        id=0,
        tenant_id=tenant.id,
        campaign_id=campaign_id,
        subject=built.subject,
        from_name=sender.from_name,
        from_email=sender.from_email,
        reply_to=sender.reply_to,
        html=built.html,
        text=built.text,
        links=built.links,
        settings={"organisation": tenant.name, "postal_address": tenant.postal_address},
        created_at=now,
    )


async def send_template(
    db: Database, scope: Scope, trial: Trial, *, keyring: Keyring, settings: Settings, now: datetime
) -> ProbeReport:
    """Send one message of a template; raises NotFound, InvalidInput (sender, merge tags), Refused (no relay)."""
    scope.require(Grant.SEND)
    recipient = parse_address(trial.address)
    async with db.read(scope) as tx:
        template = await get_template(tx, scope, name=trial.template)
        subject = TEST_PREFIX + (trial.subject or literal(template.name))
        sources = await sources_of(tx, scope, template_id=template.id or 0, subject=subject)
        tenant = await get_tenant(tx, scope)
        # To names the tester: an answer to all must not reach the customer whose values are shown.
        person = replace(await _person(tx, scope, trial), email=recipient.email)
        sender = await _sender(tx, scope, trial, tenant)
        endpoint = endpoint_of(await _relay(tx, scope, trial), keyring, settings)
    built = await snapshots.build(sources, track_opens=False, track_clicks=False)
    snapshot = draft_snapshot(built, sender, tenant, campaign_id=0, now=now)
    composer = await composer_of(db, scope, snapshot, keyring, settings)
    message: Composed = composer.compose(TASK, 0, person, now)
    return await probe(
        endpoint, mail_from=message.mail_from, rcpt_to=recipient.envelope, content=message.content
    )


async def _person(tx: ReadTx, scope: Scope, trial: Trial) -> Person:
    try:
        return person_of(await get_contact(tx, scope, address=trial.contact or trial.address))
    except NotFound:
        if trial.contact is not None:
            raise
        return Person(parse_address(trial.address).email, "", "", {})


async def _sender(tx: ReadTx, scope: Scope, trial: Trial, tenant: Tenant) -> Sender:
    if trial.sender is not None:
        mailbox = parse_mailbox(trial.sender)
        return Sender(mailbox.name, mailbox.address.email)
    domains = (await list_domains(tx, scope)).items
    if not domains:
        raise InvalidInput('say who it is from: --from "Acme <news@example.org>"')
    return Sender(tenant.name, parse_address(f"news@{domains[0].domain}").email)


async def _relay(tx: ReadTx, scope: Scope, trial: Trial) -> Relay:
    if trial.relay is not None:
        return await get_relay(tx, scope, name=trial.relay)
    relay = await default_relay(tx, scope)
    if relay is None:
        raise Refused("there is no SMTP server to send with; `mailengine relay add` sets one")
    return relay
