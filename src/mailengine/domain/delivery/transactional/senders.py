"""Who transactional mail is from: the mailbox that the tenant set, else noreply@ its first sending domain."""

from dataclasses import dataclass
from datetime import datetime

from mailengine.core.errors import Refused
from mailengine.core.scope import Grant, Scope
from mailengine.db.tenancy import owned
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.senders.domains import list_domains
from mailengine.mail.address import parse_address, parse_mailbox
from mailengine.mail.headers import check_header_value
from mailengine.models import DefaultSender

_FALLBACK = "noreply"
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Sender:
    """A mailbox to send as; the name may be empty."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


def parse_sender(text: str) -> Sender:
    """`Acme <hello@example.org>` or a bare address; raises InvalidInput."""
    mailbox = parse_mailbox(text)
    return Sender(check_header_value(mailbox.name)[:_MAX_NAME], mailbox.address.email)


async def default_sender(tx: ReadTx, scope: Scope) -> Sender:
    """Raises Refused where there is neither a setting nor a sending domain."""
    row = await tx.scalar(owned(DefaultSender, scope))
    if row is not None:
        return Sender(row.name, row.email)
    domains = (await list_domains(tx, scope)).items
    if not domains:
        raise Refused(
            "there is nobody to send as; set one with `mailengine tenant sender`, "
            "or add a domain with `mailengine domain add`"
        )
    chosen = next((domain for domain in domains if domain.verified_at is not None), domains[0])
    address = parse_address(f"{_FALLBACK}@{chosen.domain}")
    return Sender((await get_tenant(tx, scope)).name, address.email)


async def set_default_sender(tx: WriteTx, scope: Scope, *, sender: Sender, now: datetime) -> None:
    scope.require(Grant.MANAGE)
    row = await tx.scalar(owned(DefaultSender, scope))
    if row is None:
        row = DefaultSender(tenant_id=scope.tenant_id, email=sender.email)
        tx.add(row)
    row.name, row.email = sender.name, sender.email
    await audit.record(tx, scope, "sender.set", "tenant", scope.tenant_id, now=now)


async def clear_default_sender(tx: WriteTx, scope: Scope, *, now: datetime) -> bool:
    """Fall back to the sending domain; False when nothing was set."""
    scope.require(Grant.MANAGE)
    row = await tx.scalar(owned(DefaultSender, scope))
    if row is None:
        return False
    await tx.delete(row)
    await audit.record(tx, scope, "sender.clear", "tenant", scope.tenant_id, now=now)
    return True
