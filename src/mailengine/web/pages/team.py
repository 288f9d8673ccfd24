"""The people of an organisation: members, roles, invitations."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import MailengineError, Refused
from mailengine.core.scope import ROLE_GRANTS, Grant, Scope
from mailengine.domain.accounts import attempts, invitations, members
from mailengine.domain.accounts.invitations import NewInvitation
from mailengine.domain.accounts.roles import role_of
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.accounts.users import list_members
from mailengine.models import Role
from mailengine.web import letters
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.session import FRESH, NEEDS, instance_scope
from mailengine.web.site import Site
from mailengine.web.visitors import too_many

MANAGE = {NEEDS: Grant.MANAGE}
MANAGE_AND_FRESH = {NEEDS: Grant.MANAGE, FRESH: True}


@get("/team")
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Everybody, and for those who manage also the invitations."""
    return await team_page(site, request, Form())


@post("/team", opt=MANAGE_AND_FRESH)
async def invite(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A letter with an invitation."""
    form = await Form.of(request)
    scope, now = request.auth.scope, site.rt.clock.now()
    made: NewInvitation | None = None
    with form.checking("email"):
        await count(site, request, form.text("email"))
        async with site.rt.db.write(scope) as tx:
            role = role_of(form.text("role"))
            made = await invitations.invite(tx, scope, email=form.text("email"), role=role, now=now)
        await send(site, request, made)
    if form.failed or made is None:
        return await team_page(site, request, form)
    return done(site, "/team", f"An invitation is on its way to {made.invitation.email}")


@post("/team/{user_id:int}/role", opt=MANAGE_AND_FRESH)
async def change_role(
    request: UserRequest, site: NamedDependency[Site], user_id: FromPath[int]
) -> Response[Any]:
    """Another role; the member logs in again."""
    form, scope = await Form.of(request), request.auth.scope
    role = role_of(form.text("role"))
    async with site.rt.db.write(scope) as tx:
        await members.change_role(tx, scope, user_id=user_id, role=role, now=site.rt.clock.now())
    return done(site, "/team", f"The role is {role.value} now")


@post("/team/{user_id:int}/remove", opt=MANAGE_AND_FRESH)
async def remove(request: UserRequest, site: NamedDependency[Site], user_id: FromPath[int]) -> Response[Any]:
    """Take somebody's access away at once."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await members.remove(tx, scope, user_id=user_id, now=site.rt.clock.now())
    return done(site, "/team", "The member was removed")


@post("/team/invitations/{invitation_id:int}/withdraw", opt=MANAGE)
async def withdraw(
    request: UserRequest, site: NamedDependency[Site], invitation_id: FromPath[int]
) -> Response[Any]:
    """Take an offer back."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await invitations.withdraw(tx, scope, invitation_id=invitation_id, now=site.rt.clock.now())
    return done(site, "/team", "The invitation was withdrawn")


async def count(site: Site, request: UserRequest, email: str) -> None:
    """Nobody's mailbox is filled with invitations: counted like every letter that was not asked for."""
    instance = instance_scope(request)
    async with site.rt.db.write(instance) as tx:
        wait = await attempts.take(tx, instance, attempts.MAIL, account=email, now=site.rt.clock.now())
    if wait:
        raise Refused(too_many(wait))


async def send(site: Site, request: UserRequest, made: NewInvitation) -> None:
    """Post it; an invitation whose letter cannot leave is withdrawn, and the reason said."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        organisation = (await get_tenant(tx, scope)).name
    text = letters.invitation(made.token, organisation, made.invitation.role)
    try:
        await letters.send(site, instance_scope(request), to=made.invitation.email, text=text)
    except MailengineError:
        async with site.rt.db.write(scope) as tx:
            invitation_id, now = made.invitation.id or 0, site.rt.clock.now()
            await invitations.withdraw(tx, scope, invitation_id=invitation_id, now=now)
        raise


async def team_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        people = await list_members(tx, scope)
        manages = Grant.MANAGE in scope.grants
        offers = await invitations.list_invitations(tx, scope, now=site.rt.clock.now()) if manages else []
    return await form_page(
        site,
        request,
        "pages/account/team.html",
        form,
        people=people,
        offers=offers,
        me=request.auth.user.id,
        owns=Grant.OWN in scope.grants,
        roles=roles_for(scope),
    )


def roles_for(scope: Scope) -> list[tuple[str, str]]:
    """The roles that this reader may give."""
    return [(role.value, role.value.capitalize()) for role in Role if ROLE_GRANTS[role] <= scope.grants]
