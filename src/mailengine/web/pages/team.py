"""The people of an organisation: members, roles, invitations."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.paging import Page
from mailengine.core.scope import ROLE_GRANTS, Grant, Scope
from mailengine.domain.accounts import invitations, members
from mailengine.domain.accounts.roles import role_of
from mailengine.domain.accounts.users import list_members
from mailengine.models import Role
from mailengine.web import inviting
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.listing import Listing, one_of, params_of
from mailengine.web.session import FRESH, NEEDS
from mailengine.web.site import Site

MANAGE = {NEEDS: Grant.MANAGE}
MANAGE_AND_FRESH = {NEEDS: Grant.MANAGE, FRESH: True}


@get("/team")
async def show(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Everybody, and for those who manage also the invitations."""
    return await team_page(site, request, Form())


@post("/team", opt=MANAGE_AND_FRESH)
async def invite(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A letter with an invitation."""
    form, email = await Form.of(request), ""
    with form.checking("email"):
        role = role_of(form.text("role"))
        email = (await inviting.invite(site, request.auth.scope, email=form.text("email"), role=role)).email
    if form.failed:
        return await team_page(site, request, form)
    return done(site, "/team", f"An invitation is on its way to {email}")


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


async def team_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope, params = request.auth.scope, params_of(request, "role")
    async with site.rt.db.read(scope) as tx:
        people = await list_members(tx, scope, text=params["q"], role=one_of(params["role"], Role))
        manages = Grant.MANAGE in scope.grants
        offers = await invitations.list_invitations(tx, scope, now=site.rt.clock.now()) if manages else []
    return await form_page(
        site,
        request,
        "pages/account/team.html",
        form,
        listing=Listing("/team", params, Page(people, len(people), None), "member", "members"),
        every_role=list(Role),
        offers=offers,
        me=request.auth.user.id,
        owns=Grant.OWN in scope.grants,
        roles=roles_for(scope),
    )


def roles_for(scope: Scope) -> list[tuple[str, str]]:
    """The roles that this reader may give."""
    return [(role.value, role.value.capitalize()) for role in Role if ROLE_GRANTS[role] <= scope.grants]
