"""How sending stands: kill switch, limits, warm-up, quiet hours; messages that failed or are in doubt."""

from enum import StrEnum
from typing import Any, TypeVar

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.scope import Grant, Scope
from mailengine.domain.campaigns import retry
from mailengine.domain.delivery import dead_letters, doubts, kill_switch, reputation
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.domain.delivery.limits import limits, quiet_hours, warm_up
from mailengine.domain.delivery.limits.lines import limit_lines, warm_up_lines
from mailengine.domain.delivery.limits.rates import parse_rate
from mailengine.domain.reports.names import names_of
from mailengine.domain.senders import relays
from mailengine.models import LimitScope, Period, WarmUpScope
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, id_in, one_of, page_of, params_of
from mailengine.web.session import FRESH, NEEDS
from mailengine.web.site import Site

Choice = TypeVar("Choice", bound=StrEnum)
PATH = "/delivery"
NOTHING_CHOSEN = "Nothing was selected"


@get(PATH)
async def index(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Everything that slows sending down or stops it."""
    return await _index(site, request, Form())


async def _index(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope, now = request.auth.scope, site.rt.clock.now()
    async with site.rt.db.read(scope) as tx:
        names, switches = await relays.names(tx, scope), await kill_switch.of_tenant(tx, scope)
        values: dict[str, Any] = {
            "limits": await limit_lines(tx, scope, names, now=now),
            "warm_ups": await warm_up_lines(tx, scope, names, now=now),
            "quiet": await quiet_hours.get_quiet_hours(tx, scope),
            "standing": await reputation.stored(tx, scope),
            "letters": await dead_letters.count(tx, scope, Chosen()),
            "doubts": (await doubts.list_doubts(tx, scope, request=page_of(params_of(request)))).total,
            "relays": sorted(names.values()),
        }
    return await form_page(
        site,
        request,
        "pages/delivery.html",
        form,
        mine=switches.tenant,
        everybody=switches.instance,
        periods=list(Period),
        **values,
    )


@post("/delivery/kill-switch", opt={NEEDS: Grant.SEND, FRESH: True})
async def switch(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Stop all sending of the tenant, or let it go on."""
    return await _change(site, request, "kill-switch")


@post("/delivery/{act:str}")
async def act(request: UserRequest, site: NamedDependency[Site], act: FromPath[str]) -> Response[Any]:
    """Change one of the settings of the page."""
    return await _change(site, request, act)


async def _change(site: Site, request: UserRequest, act: str) -> Response[Any]:
    """A mistake is said at its field."""
    scope, form = request.auth.scope, await Form.of(request)
    if act not in ACTS:
        raise NotFound("there is no such page")
    field, change = ACTS[act]
    with form.checking(field):
        return done(site, PATH, await change(site, scope, form))
    return await _index(site, request, form)


async def _switch(site: Site, scope: Scope, form: Form) -> str:
    """The tenant's own kill switch; that of the installation is the operator's."""
    now = site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        if form.text("to") == "on":
            await kill_switch.stop(tx, scope, reason=form.text("reason"), now=now)
            return "All sending is stopped"
        await kill_switch.resume(tx, scope, now=now)
        return "Sending goes on"


async def _set_limit(site: Site, scope: Scope, form: Form) -> str:
    rate, about = parse_rate(form.text("rate")), form.text("about")
    async with site.rt.db.write(scope) as tx:
        kind, target = LimitScope.TENANT, ""
        if about.startswith("relay:"):
            relay = await relays.get_relay(tx, scope, name=about.removeprefix("relay:"))
            kind, target = LimitScope.RELAY, str(relay.id)
        elif about == "provider":
            kind, target = LimitScope.PROVIDER, limits.provider_of(form.text("provider"))
        await limits.set_limit(tx, scope, kind=kind, target=target, rate=rate, now=site.rt.clock.now())
    return f"The limit of {rate} holds from now on"


def _chosen(form: Form, name: str, kind: type[Choice]) -> Choice:
    """A hidden field of the page; raises InvalidInput for what was not made by it."""
    found = one_of(form.text(name), kind)
    if found is None:
        raise InvalidInput(f"{form.text(name)!r} is no {name}")
    return found


async def _remove_limit(site: Site, scope: Scope, form: Form) -> str:
    async with site.rt.db.write(scope) as tx:
        await limits.remove_limit(
            tx,
            scope,
            kind=_chosen(form, "scope", LimitScope),
            target=form.text("target"),
            period=_chosen(form, "period", Period),
            now=site.rt.clock.now(),
        )
    return "The limit was removed"


async def _warm_up(site: Site, scope: Scope, form: Form) -> str:
    kind = _chosen(form, "scope", WarmUpScope) if form.text("scope") else WarmUpScope.TENANT
    target, now = form.text("target"), site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        if form.text("to") == "stop":
            await warm_up.stop(tx, scope, kind=kind, target=target, now=now)
            return "The warm-up was ended"
        await warm_up.start(tx, scope, kind=kind, target=target, now=now)
        return "The warm-up has begun"


async def _quiet(site: Site, scope: Scope, form: Form) -> str:
    now = site.rt.clock.now()
    async with site.rt.db.write(scope) as tx:
        if form.text("to") == "off":
            await quiet_hours.clear_quiet_hours(tx, scope, now=now)
            return "There are no quiet hours any more"
        await quiet_hours.set_quiet_hours(
            tx,
            scope,
            starts=quiet_hours.parse_time(form.text("starts")),
            ends=quiet_hours.parse_time(form.text("ends")),
            timezone=form.text("timezone"),
            now=now,
        )
    return "Campaigns rest in the quiet hours"


ACTS = {
    "kill-switch": ("reason", _switch),
    "limits": ("rate", _set_limit),
    "remove-limit": ("rate", _remove_limit),
    "warm-up": ("warm_up", _warm_up),
    "quiet-hours": ("timezone", _quiet),
}


@get("/delivery/dead-letters")
async def letters(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Messages that were given up, with the server's words."""
    scope, params = request.auth.scope, params_of(request, "cause")
    async with site.rt.db.read(scope) as tx:
        found = await dead_letters.list_letters(
            tx, scope, Chosen(cause=params["cause"] or None, text=params["q"]), request=page_of(params)
        )
        causes = await dead_letters.all_causes(tx, scope)
        names = await names_of(tx, scope, [("campaign", row.campaign_id) for row in found.items])
    listing = Listing("/delivery/dead-letters", params, found, "message", "messages")
    return await page(site, request, "pages/dead_letters.html", listing=listing, causes=causes, names=names)


@post("/delivery/dead-letters")
async def requeue(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Try the ones that were ticked again, or all that the filters show."""
    scope, form, back = request.auth.scope, await Form.of(request), "/delivery/dead-letters"
    if form.flag("all"):
        chosen = Chosen(cause=form.text("cause") or None, text=form.text("q"))
    elif ids := form.ids():
        chosen = Chosen(ids=ids)
    else:
        return done(site, back, NOTHING_CHOSEN, "warning")
    async with site.rt.db.write(scope) as tx:
        found = await retry.requeue(tx, scope, chosen, now=site.rt.clock.now())
    words = f"{found.requeued:,} back in the queue"
    if found.kept:
        words += f"; {found.kept:,} stay: their contacts cannot be mailed, or their campaign has ended"
    return done(site, back, words)


@get("/delivery/doubts")
async def doubtful(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Messages whose end left for the wire and whose answer nobody read."""
    scope, params = request.auth.scope, params_of(request, "campaign")
    campaign_id = id_in(params["campaign"])
    async with site.rt.db.read(scope) as tx:
        found = await doubts.list_doubts(
            tx, scope, campaign_id=campaign_id, text=params["q"], request=page_of(params)
        )
        campaigns = await doubts.campaign_names(tx, scope)
    listing = Listing("/delivery/doubts", params, found, "message", "messages")
    return await page(site, request, "pages/doubts.html", listing=listing, campaigns=campaigns)


@post("/delivery/doubts")
async def settle(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What a person found out: it arrived, it is lost, or it is to be sent again."""
    scope, form, now = request.auth.scope, await Form.of(request), site.rt.clock.now()
    ids, back = form.ids(), "/delivery/doubts"
    if not ids:
        return done(site, back, NOTHING_CHOSEN, "warning")
    async with site.rt.db.write(scope) as tx:
        match form.text("act"):
            case "sent" | "failed" as verdict:
                number = await doubts.settle(tx, scope, task_ids=ids, accepted=verdict == "sent", now=now)
                return done(site, back, f"{number:,} settled as {verdict}")
            case "again":
                number = await retry.resend(tx, scope, task_ids=ids, now=now)
                return done(site, back, f"{number:,} back in the queue")
    raise InvalidInput("say what became of them")
