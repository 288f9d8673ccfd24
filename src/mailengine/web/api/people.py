"""Members, invitations and API keys over the API.

Invariant: nobody makes a member or a key that may do more than they do themselves, a key no more than a person; the
use cases see to it. A secret is in one answer at most: the key's token in that of its making, an invitation's only in
the letter.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from mailengine.core.scope import Scope
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts import api_keys, invitations, members
from mailengine.domain.accounts.users import Member, list_members
from mailengine.models import ApiKey, Invitation, Role
from mailengine.web.api.rights import MANAGE, MANAGE_AND_FRESH
from mailengine.web.api.shapes import (
    NO_NUL,
    READ,
    WRITE,
    Cursor,
    Email,
    Given,
    Id,
    Limit,
    PageOf,
    Search,
    page_of,
    page_request,
    problems,
    whole,
)
from mailengine.web.inviting import invite
from mailengine.web.site import Site

OfRole = Annotated[Role | None, QueryParameter(name="role")]
KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NUL)]


class MemberShape(msgspec.Struct):
    """A person who may log in to the organisation; `created_at` is when the account was made."""

    id: int
    email: str
    role: Role
    created_at: datetime


class NewRole(Given):
    """What the member may do from now on."""

    role: Role


class InvitationShape(msgspec.Struct):
    """An offer that can still be accepted; `invited_by` is like `user:3`, `key:7`, `cli`."""

    id: int
    email: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime


class NewInvitation(Given):
    """Whoever reads mail at `email` may join as `role`."""

    email: Email
    role: Role = Role.EDITOR


class KeyShape(msgspec.Struct):
    """A key without its token, which is known to nobody but its holder; `last_used_at` to a quarter of an hour."""

    id: int
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(Given):
    """`name` says what the key is for; it is never free again, for the sake of the audit log."""

    name: KeyName
    role: Role = Role.EDITOR


class MadeKey(msgspec.Struct):
    """`token` is shown this once."""

    key: KeyShape
    token: str


class Members(Controller):
    """Who is in the organisation."""

    path = "/members"
    tags = ("people",)

    @get(**READ, summary="List the members")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        search: Search = None,
        in_role: OfRole = None,
    ) -> PageOf[MemberShape]:
        """By address, all of them; `search` looks into addresses."""
        async with site.rt.db.read(caller) as tx:
            found = await list_members(tx, caller, text=search or "", role=in_role)
        return whole([member_shape(member) for member in found])

    @patch("/{user_id:int}", **MANAGE_AND_FRESH, **WRITE, summary="Give a member another role")
    async def change_role(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        user_id: Id,
        data: JSONBody[NewRole],
    ) -> MemberShape:
        """Their sessions end. Owners are made and dismissed by owners, and one stays."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            await members.change_role(tx, caller, user_id=user_id, role=data.role, now=now)
            return await _member(tx, caller, user_id)

    @delete("/{user_id:int}", **MANAGE_AND_FRESH, **WRITE, summary="Remove a member")
    async def remove(self, site: NamedDependency[Site], caller: NamedDependency[Scope], user_id: Id) -> None:
        """Their access ends at once. Keys that they made stay: they are the organisation's."""
        async with site.rt.db.write(caller) as tx:
            await members.remove(tx, caller, user_id=user_id, now=site.rt.clock.now())


class Invitations(Controller):
    """Offers to join the organisation, each good for a week and once."""

    path = "/invitations"
    tags = ("people",)

    @get(**MANAGE, **READ, summary="List open invitations")
    async def list_them(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope]
    ) -> PageOf[InvitationShape]:
        """Newest first, all of them."""
        async with site.rt.db.read(caller) as tx:
            found = await invitations.list_invitations(tx, caller, now=site.rt.clock.now())
        return whole([invitation_shape(row) for row in found])

    @post(**MANAGE_AND_FRESH, responses=problems(404, 409, 413, 422, 429), summary="Invite somebody")
    async def invite(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewInvitation]
    ) -> InvitationShape:
        """The link leaves by mail and is shown to nobody else. Another one to the same address replaces it."""
        return invitation_shape(await invite(site, caller, email=data.email, role=data.role))

    @delete("/{invitation_id:int}", **MANAGE, **WRITE, summary="Withdraw an invitation")
    async def withdraw(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], invitation_id: Id
    ) -> None:
        """Its link works no more."""
        async with site.rt.db.write(caller) as tx:
            await invitations.withdraw(tx, caller, invitation_id=invitation_id, now=site.rt.clock.now())


class ApiKeys(Controller):
    """Credentials of programs that use this API."""

    path = "/api-keys"
    tags = ("people",)

    @get(**MANAGE, **READ, summary="List API keys")
    async def list_them(
        self,
        site: NamedDependency[Site],
        caller: NamedDependency[Scope],
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        revoked: FromQuery[bool | None] = None,
    ) -> PageOf[KeyShape]:
        """By name, revoked ones too unless `revoked` is false; `search` looks into names."""
        async with site.rt.db.read(caller) as tx:
            page = page_request(limit, cursor)
            found = await api_keys.list_(tx, caller, request=page, text=search or "", revoked=revoked)
        return page_of(found, key_shape)

    @post(**MANAGE_AND_FRESH, **WRITE, summary="Make an API key")
    async def create(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], data: JSONBody[NewKey]
    ) -> MadeKey:
        """The only answer with the key in it."""
        now = site.rt.clock.now()
        async with site.rt.db.write(caller) as tx:
            made = await api_keys.create(tx, caller, name=data.name, role=data.role, now=now)
        return MadeKey(key_shape(made.key), made.token)

    @post("/{key_id:int}/revoke", status_code=200, **MANAGE_AND_FRESH, **WRITE, summary="Revoke an API key")
    async def revoke(
        self, site: NamedDependency[Site], caller: NamedDependency[Scope], key_id: Id
    ) -> KeyShape:
        """It is refused from now on, for good; it stays in the list."""
        async with site.rt.db.write(caller) as tx:
            name = await api_keys.name_of(tx, caller, key_id=key_id)
            return key_shape(await api_keys.revoke(tx, caller, name=name, now=site.rt.clock.now()))


async def _member(tx: ReadTx, scope: Scope, user_id: int) -> MemberShape:
    return next(member_shape(member) for member in await list_members(tx, scope) if member.user_id == user_id)


def member_shape(member: Member) -> MemberShape:
    return MemberShape(member.user_id, member.email, Role(member.role), member.created_at)


def invitation_shape(row: Invitation) -> InvitationShape:
    return msgspec.convert(row.model_dump(), InvitationShape)


def key_shape(row: ApiKey) -> KeyShape:
    return msgspec.convert(row.model_dump(), KeyShape)
