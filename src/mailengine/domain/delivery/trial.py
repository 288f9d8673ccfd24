"""Trying a relay by hand: connect, log in and, where addresses are given, send one message."""

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from mailengine.core.config import Settings
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import Database
from mailengine.domain.delivery import health
from mailengine.domain.delivery.smtp import ProbeReport, probe
from mailengine.domain.delivery.transport import endpoint_of
from mailengine.domain.senders.domains import signers
from mailengine.domain.senders.relays import get_relay
from mailengine.mail.address import Address
from mailengine.mail.dkim import Signer, sign


async def try_relay(
    db: Database,
    scope: Scope,
    *,
    name: str,
    keyring: Keyring,
    settings: Settings,
    author: Address | None,
    recipient: Address | None,
    now: datetime,
) -> ProbeReport:
    """What the relay called `name` answers; the message is signed as a campaign's would be, and a relay that takes
    it is in trouble no more."""
    async with db.read(scope) as tx:
        relay = await get_relay(tx, scope, name=name)
        keys = [] if author is None else await signers(tx, scope, domain=author.domain, keyring=keyring)
    endpoint = endpoint_of(relay, keyring, settings)
    if author is None or recipient is None:
        return await probe(endpoint)
    content = trial_message(author, recipient, relay.name, keys, now)
    report = await probe(endpoint, mail_from=author.envelope, rcpt_to=recipient.envelope, content=content)
    if report.ok and relay.trouble_at is not None:
        async with db.write(scope) as tx:
            await health.note(tx, scope, relay_id=relay.id or 0, words="", now=now)
    return report


def trial_message(
    author: Address, recipient: Address, relay_name: str, keys: list[Signer], now: datetime
) -> bytes:
    """A short message that says what it is."""
    message = EmailMessage(policy=SMTP.clone(utf8=author.needs_smtputf8 or recipient.needs_smtputf8))
    message["From"] = author.envelope
    message["To"] = recipient.envelope
    message["Subject"] = "Test message from mailengine"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=author.domain)
    message.set_content(f"This message came by the relay {relay_name}. Nothing needs to be done.\n")
    head, blank, body = message.as_bytes().partition(b"\r\n\r\n")
    head += b"\r\n"
    signatures = sign(keys, head, body, timestamp=int(now.timestamp()))
    return signatures + head + blank[2:] + body
