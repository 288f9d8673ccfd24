"""Mail about accounts: what it says, and its way into the queue.

It leaves through the relay of the installation's oldest tenant, the operator's, because whoever signs up or forgot a
password is not known to be anybody's yet. Links are made from the settings' base URL alone: the Host header of the
request that caused a letter says nothing.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from jinja2 import Environment
from sqlmodel import col

from mailengine.core.errors import MailengineError, Refused
from mailengine.core.log import get_logger
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts.setup import oldest_tenant
from mailengine.domain.accounts.tenants import scope_in
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.models import Tenant
from mailengine.web.site import Site

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class Text:
    """A letter before it is set: paragraphs, and a link with what it does."""

    subject: str
    paragraphs: tuple[str, ...]
    path: str = ""
    label: str = ""


NOT_YOU = "If it was not you, you need not do anything: without the link nothing changes."


def reset(token: str) -> Text:
    said = "Somebody asked for another password for your account. The link works for an hour, and once."
    return Text("Choose a new password", (said, NOT_YOU), f"/reset/{token}", "Choose a new password")


def password_changed() -> Text:
    said = "The password of your account was changed, and all other sessions were ended."
    remedy = "If it was not you, ask for a new password at once and tell whoever runs this installation."
    return Text("Your password was changed", (said, remedy), "/forgot", "I did not do this")


def change_email(token: str) -> Text:
    said = "Confirm that this is your address, and you log in with it from now on. The link works for four hours."
    return Text("Confirm your new address", (said, NOT_YOU), f"/account/email/{token}", "Confirm the address")


def email_changed() -> Text:
    said = "Your account has another e-mail address now; this one no longer logs you in."
    remedy = "If it was not you, tell whoever runs this installation."
    return Text("Your e-mail address was changed", (said, remedy))


def sign_up(token: str, organisation: str) -> Text:
    said = f"Confirm that this is your address, and {organisation} is set up. The link works for a day."
    return Text("Confirm your address", (said, NOT_YOU), f"/sign-up/{token}", "Confirm the address")


def known_already() -> Text:
    said = "Somebody tried to sign up with your address, but you have an account already. Just log in."
    return Text("You have an account already", (said,), "/forgot", "I forgot my password")


def invitation(token: str, organisation: str, role: str) -> Text:
    said = f"You are invited to {organisation} as {role}. The link works for a week, and once."
    return Text(f"Join {organisation}", (said,), f"/invitations/{token}", "See the invitation")


def second_factor_changed(*, on: bool) -> Text:
    state = "is asked for a code of your authenticator app" if on else "no longer asks for a code"
    remedy = "If it was not you, change your password at once and tell whoever runs this installation."
    return Text("Your login was changed", (f"Logging in to your account {state}.", remedy))


async def send(site: Site, instance: InstanceScope, *, to: str, text: Text) -> None:
    """Set the letter and queue it; raises Refused when the installation cannot send mail yet."""
    message = set_letter(site.pages, site.rt.settings.base_url, to, text)
    async with site.rt.db.write(instance) as tx:
        await post(tx, instance, message, site)


async def send_or_log(site: Site, instance: InstanceScope, *, to: str, text: Text) -> None:
    """For letters whose failure the visitor must not learn of: it would tell who has an account."""
    try:
        await send(site, instance, to=to, text=text)
    except MailengineError as error:
        log.error("a letter about an account cannot be sent", subject=text.subject, problem=str(error))


async def post(tx: WriteTx, instance: InstanceScope, message: OutgoingMessage, site: Site) -> None:
    tenant = await tx.scalar(sa.select(Tenant).where(col(Tenant.id) == await oldest_tenant(tx)))
    if tenant is None:
        raise Refused("there is nobody to send it as")
    await queue_message(tx, scope_in(tenant, instance), message, now=site.rt.clock.now())


def set_letter(pages: Environment, base_url: str, to: str, text: Text) -> OutgoingMessage:
    """Plain text and HTML that say the same."""
    link = base_url + text.path if text.path else ""
    values: dict[str, Any] = {"text": text, "link": link}
    plain = [*text.paragraphs, *([f"{text.label}:\n{link}"] if link else [])]
    return OutgoingMessage(
        to=to,
        subject=text.subject,
        text="\n\n".join(plain) + "\n",
        html=pages.get_template("mail/letter.html").render(**values),
    )
