"""The audit log: who did what to which record, when and from where."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from litestar import Response, get
from litestar.di import NamedDependency

from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant
from mailengine.domain.accounts import api_keys, audit
from mailengine.domain.accounts.users import list_members
from mailengine.domain.reports.names import names_of
from mailengine.web.pages.frame import UserRequest, page
from mailengine.web.pages.listing import Listing, page_of, params_of
from mailengine.web.session import NEEDS
from mailengine.web.site import Site

PATH = "/audit"
KEYS = PageRequest(limit=500)  # whose names are known; the others are told by their number
# Whose acts are told apart besides the members': programs and roles.
PROGRAMS = {
    "cli": "The command line",
    "demo": "The demo",
    "web": "Logging in",
    "link": "Links in messages",
    "role:scheduler": "The daemon",
}
# Those who are no longer there to have a name.
GONE = {"user": "Former member", "key": "API key", "role": "The daemon"}
KINDS = (
    "api-key", "attribute", "block", "campaign", "contact", "domain", "doubt", "form", "import-mapping",
    "installation", "invitation", "kill-switch", "limit", "list", "message", "quiet-hours", "relay", "reputation",
    "segment", "sender", "session", "suppression", "tag", "template", "tenant", "upkeep", "user", "warm-up",
)  # fmt: skip


@get(PATH, opt={NEEDS: Grant.MANAGE})
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Newest first."""
    scope, params = request.auth.scope, params_of(request, "actor", "action", "since", "until")
    async with site.rt.db.read(scope) as tx:
        found = await audit.list_(tx, scope, page=page_of(params), wanted=wanted_of(params))
        members = {f"user:{member.user_id}": member.email for member in await list_members(tx, scope)}
        names = await names_of(tx, scope, [(row.resource, row.resource_id) for row in found.items])
        keys = (await api_keys.list_(tx, scope, request=KEYS)).items
    listing = Listing(PATH, params, found, "entry", "entries")
    actors = {**members, **{f"key:{key.id}": f"API key {key.name}" for key in keys}, **PROGRAMS}
    return await page(
        site,
        request,
        "pages/audit_log.html",
        listing=listing,
        actors=actors,
        gone=GONE,
        kinds=KINDS,
        names=names,
    )


def wanted_of(params: Mapping[str, str]) -> audit.Wanted:
    """The filters; what is no day is left out: an address is anybody's to write. Days are UTC's, both included."""
    until = _day(params["until"])
    return audit.Wanted(
        actor=params["actor"] or None,
        action=_action(params["action"], params["q"]),
        since=_day(params["since"]),
        until=None if until is None else until + timedelta(days=1),
    )


def _action(kind: str, typed: str) -> str | None:
    """What was typed is an action or its beginning up to a dot; else the kind that was chosen."""
    if typed:
        return typed if "." in typed else f"{typed}.*"
    return f"{kind}.*" if kind else None


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
