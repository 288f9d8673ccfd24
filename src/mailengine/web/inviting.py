"""Inviting somebody, from the page and over the API: counted, offered, and the letter posted."""

from mailengine.core.errors import MailengineError
from mailengine.core.scope import Scope
from mailengine.domain.accounts import attempts, invitations
from mailengine.domain.accounts.invitations import NewInvitation
from mailengine.domain.accounts.members import check_may_give
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.models import Invitation, Role
from mailengine.web import letters
from mailengine.web.counting import count
from mailengine.web.session import instance_of
from mailengine.web.site import Site


async def invite(site: Site, scope: Scope, *, email: str, role: Role) -> Invitation:
    """The offer, whose letter is in the queue; raises as `invitations.invite` does, TooSoon, and Refused when the
    letter cannot leave. Nobody's mailbox is filled with invitations: they count like every letter that was not
    asked for."""
    check_may_give(scope, role)
    await count(site.rt, instance_of(scope), attempts.MAIL, account=email)
    async with site.rt.db.write(scope) as tx:
        made = await invitations.invite(tx, scope, email=email, role=role, now=site.rt.clock.now())
        organisation = (await get_tenant(tx, scope)).name
    await _send(site, scope, made, organisation)
    return made.invitation


async def _send(site: Site, scope: Scope, made: NewInvitation, organisation: str) -> None:
    """Post it; an invitation whose letter cannot leave is withdrawn, and the reason said."""
    text = letters.invitation(made.token, organisation, made.invitation.role)
    try:
        await letters.send(site, instance_of(scope), to=made.invitation.email, text=text)
    except MailengineError:
        invitation_id, now = made.invitation.id or 0, site.rt.clock.now()
        async with site.rt.db.write(scope) as tx:
            await invitations.withdraw(tx, scope, invitation_id=invitation_id, now=now)
        raise
