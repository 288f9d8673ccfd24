"""From a filled-in form to a subscription.

Invariants: what an outsider sees is the same whether an address is known, left, suppressed or new. Nobody but the
person at the address can bring back somebody who left: anything but a new contact on lists without confirmation
waits for the link that only they get. The link changes nothing by being opened, and ends after `VALID`.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound
from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.contacts import suppression
from mailengine.domain.contacts.contacts import NewContact
from mailengine.domain.contacts.lists import set_membership
from mailengine.domain.contacts.states import admit
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.domain.signup.consent import agree
from mailengine.domain.signup.forms import lists_of
from mailengine.models import Contact, ContactList, ContactState, ListMember, MemberState, Signup, SignupForm

VALID = timedelta(days=7)
PER_DAY = (
    3  # confirmations that one address gets a day, whoever asks for them: no flood by somebody else's hand
)
_CLOSED = frozenset({ContactState.SUPPRESSED, ContactState.BOUNCED})


@dataclass(frozen=True, slots=True)
class Around:
    """What signing up needs besides the form: keys of the installation, and where links lead."""

    hash_key: bytes
    link_key: bytes
    base_url: str


async def sign_up(
    tx: WriteTx, scope: Scope, form: SignupForm, new: NewContact, around: Around, *, ip: str, now: datetime
) -> None:
    """Subscribe, or ask for a confirmation, or do nothing: the caller's answer is always the same."""
    key = new.address.key
    if await suppression.erased(tx, scope, [key], hash_key=around.hash_key):
        return
    if await suppression.suppressed(tx, scope, [key]):
        return
    lists = await lists_of(tx, scope, form.list_ids)
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.email_key) == key))
    if contact is None:
        await _newcomer(tx, scope, form, new, lists, around, ip=ip, now=now)
    elif contact.state in _CLOSED:
        return
    else:
        await _known(tx, scope, form, contact, lists, around, ip=ip, now=now)


async def _newcomer(
    tx: WriteTx,
    scope: Scope,
    form: SignupForm,
    new: NewContact,
    lists: Sequence[ContactList],
    around: Around,
    *,
    ip: str,
    now: datetime,
) -> None:
    waits = any(each.double_opt_in for each in lists)
    contact = Contact(
        tenant_id=scope.tenant_id,
        email=new.address.email,
        email_key=new.address.key,
        first_name=new.first_name,
        last_name=new.last_name,
        state=ContactState.UNCONFIRMED if waits else ContactState.SUBSCRIBED,
        created_at=now,
        updated_at=now,
    )
    tx.add(contact)
    await tx.flush()
    await audit.record(tx, scope, "contact.signup", "contact", contact.id, now=now, form=form.id)
    if waits:
        await _ask(tx, scope, form, contact, lists, around, ip=ip, now=now)
    else:
        ids = [each.id for each in lists if each.id is not None]
        source = f"form {form.name}"
        await agree(tx, scope, contact, ids, source=source, wording=form.wording, ip=ip, now=now)


async def _known(
    tx: WriteTx,
    scope: Scope,
    form: SignupForm,
    contact: Contact,
    lists: Sequence[ContactList],
    around: Around,
    *,
    ip: str,
    now: datetime,
) -> None:
    """Whoever typed this need not be the person: only they can say so."""
    members = await _memberships(tx, scope, contact)
    mailed = contact.state == ContactState.SUBSCRIBED and contact.deleted_at is None
    missing = [each for each in lists if not (mailed and members.get(each.id or 0) == MemberState.SUBSCRIBED)]
    if missing and await _asked_today(tx, scope, contact, now) < PER_DAY:
        await _ask(tx, scope, form, contact, missing, around, ip=ip, now=now)


async def _ask(
    tx: WriteTx,
    scope: Scope,
    form: SignupForm,
    contact: Contact,
    lists: Sequence[ContactList],
    around: Around,
    *,
    ip: str,
    now: datetime,
) -> None:
    ids = [each.id for each in lists if each.id is not None]
    members = await _memberships(tx, scope, contact)
    waiting = [list_id for list_id in ids if list_id not in members]
    await set_membership(
        tx, scope, contact_id=contact.id or 0, list_ids=waiting, state=MemberState.UNCONFIRMED, now=now
    )
    signup = Signup(
        tenant_id=scope.tenant_id,
        contact_id=contact.id or 0,
        source=f"form {form.name}"[:200],
        wording=form.wording,
        list_ids=ids,
        ip=ip[:45],
        created_at=now,
    )
    tx.add(signup)
    await tx.flush()
    organisation = (await get_tenant(tx, scope)).name
    link = f"{around.base_url}/f/confirm/{token_of(signup, around.link_key)}"
    await queue_message(tx, scope, _confirmation(contact, lists, organisation, link), now=now)


def _confirmation(
    contact: Contact, lists: Sequence[ContactList], organisation: str, link: str
) -> OutgoingMessage:
    """Plain, so that every program shows it and no picture tells on the reader."""
    names = "\n".join(f"- {each.name}" for each in lists)
    return OutgoingMessage(
        to=contact.email,
        kind="confirmation",
        subject=f"Please confirm: newsletters of {organisation}",
        text=(
            f"Somebody, we hope it was you, asked for these newsletters of {organisation} at this address:\n\n"
            f"{names}\n\nIf it was you, confirm it here within {VALID.days} days:\n\n{link}\n\n"
            "If it was not, do nothing: you will not hear from us.\n"
        ),
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-up behind a link, its person and what it is about."""

    signup: Signup
    contact: Contact
    lists: Sequence[ContactList]
    organisation: str

    @property
    def confirmed(self) -> bool:
        return self.signup.confirmed_at is not None


async def waiting(tx: ReadTx, scope: Scope, *, signup_id: int, now: datetime) -> Waiting:
    """Raises NotFound for a link that has ended or whose lists were deleted, and for one whose person must not be
    mailed any more."""
    signup = await tx.scalar(owned(Signup, scope).where(col(Signup.id) == signup_id))
    if signup is None:
        raise NotFound("this link leads nowhere")
    contact = await tx.scalar(owned(Contact, scope).where(col(Contact.id) == signup.contact_id))
    if contact is None or now - signup.created_at > VALID or contact.erased_at is not None:
        raise NotFound("this link has ended; fill in the form again")
    if contact.state in _CLOSED or await suppression.suppressed(tx, scope, [contact.email_key]):
        raise NotFound("this link has ended; fill in the form again")
    lists = await lists_of(tx, scope, signup.list_ids)
    if not lists:
        raise NotFound("what this link was for is not there any more")
    return Waiting(signup, contact, lists, (await get_tenant(tx, scope)).name)


async def confirm(tx: WriteTx, scope: Scope, *, signup_id: int, ip: str, now: datetime) -> Waiting:
    """The person says yes; doing it twice is no error."""
    found = await waiting(tx, scope, signup_id=signup_id, now=now)
    if found.confirmed:
        return found
    signup, contact = found.signup, found.contact
    contact.deleted_at = None
    await admit(tx, scope, contact, now=now, reason="sign-up")
    ids = [each.id for each in found.lists if each.id is not None]
    await agree(tx, scope, contact, ids, source=signup.source, wording=signup.wording, ip=ip, now=now)
    signup.confirmed_at = now
    return found


def token_of(signup: Signup, key: bytes) -> str:
    """`tenant-signup-mac`: what the link carries."""
    text = f"{signup.tenant_id}-{signup.id}"
    return f"{text}-{_mac(text, key)}"


def read_token(token: str, key: bytes) -> tuple[int, int]:
    """Tenant and sign-up of a link; raises NotFound for what this installation did not sign."""
    text, _, mac = token.rpartition("-")
    tenant, _, number = text.partition("-")
    good = tenant.isascii() and tenant.isdigit() and number.isascii() and number.isdigit() and len(token) < 80
    if not good or not hmac.compare_digest(mac.encode(), _mac(text, key).encode()):
        raise NotFound("this link leads nowhere")
    return int(tenant), int(number)


def _mac(text: str, key: bytes) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()[:32]


async def _memberships(tx: ReadTx, scope: Scope, contact: Contact) -> dict[int, str]:
    members = table_of(ListMember).c
    rows = await tx.execute(
        sa.select(members.list_id, members.state).where(
            members.tenant_id == scope.tenant_id, members.contact_id == contact.id
        )
    )
    return {row.list_id: row.state for row in rows}


async def _asked_today(tx: ReadTx, scope: Scope, contact: Contact, now: datetime) -> int:
    query = sa.select(sa.func.count()).where(
        tenant_of(Signup) == scope.tenant_id,
        col(Signup.contact_id) == contact.id,
        col(Signup.created_at) > now - timedelta(days=1),
    )
    return await tx.scalar(query) or 0
