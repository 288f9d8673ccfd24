"""The servers that send, with a test of each; the domains in whose name is sent, with their records (P75-06)."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import InvalidInput, NotFound
from mailengine.core.paging import Page
from mailengine.core.scope import Grant
from mailengine.domain.delivery.trial import try_relay
from mailengine.domain.senders import domains, relays, verification
from mailengine.domain.senders.relays import RelayChanges
from mailengine.mail.address import parse_address
from mailengine.models import SendingDomain, Tls
from mailengine.web.counting import count_test
from mailengine.web.forms import Form, sentence
from mailengine.web.pages.frame import UserRequest, done, form_page, page
from mailengine.web.pages.listing import Listing, either, page_of, params_of
from mailengine.web.session import instance_scope
from mailengine.web.site import Site

RELAYS = "/relays"
DOMAINS = "/domains"


@get(RELAYS)
async def relay_list(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every way for the tenant's mail."""
    scope, params = request.auth.scope, params_of(request, "enabled")
    chosen = either(params["enabled"])
    async with site.rt.db.read(scope) as tx:
        found = await relays.list_relays(tx, scope, request=page_of(params), text=params["q"], enabled=chosen)
    listing = Listing(RELAYS, params, found, "server", "servers")
    return await page(site, request, "pages/relays.html", listing=listing)


@get("/relays/new")
async def relay_new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """An empty form."""
    request.auth.scope.require(Grant.MANAGE)
    form = Form({"port": 587, "tls": Tls.STARTTLS, "priority": 0, "weight": 1})
    return await form_page(site, request, "pages/relay_form.html", form)


@post("/relays/new")
async def relay_create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a server; the password is sealed and never shown again."""
    scope, form = request.auth.scope, await Form.of(request)
    scope.require(Grant.MANAGE)
    numbers = {}
    for name in ("port", "priority", "weight"):
        with form.checking(name):
            numbers[name] = form.number(name)
    with form.checking("host" if form.text("name") else "name"):
        if not form.failed:
            details = relays.check_relay(
                name=form.text("name"),
                host=form.text("host"),
                tls=Tls(form.text("tls")) if form.text("tls") in set(Tls) else Tls.STARTTLS,
                username=form.text("username"),
                password=form.value("password"),
                port=numbers["port"],
                priority=numbers["priority"],
                weight=numbers["weight"],
            )
            async with site.rt.db.write(scope) as tx:
                await relays.add(tx, scope, details=details, keyring=site.rt.keyring, now=site.rt.clock.now())
            return done(site, RELAYS, f"{details.name} was added; test it")
    return await form_page(site, request, "pages/relay_form.html", form)


@post("/relays/{name:str}/{act:str}")
async def relay_act(
    request: UserRequest, site: NamedDependency[Site], name: FromPath[str], act: FromPath[str]
) -> Response[Any]:
    """Test, enable, disable, remove."""
    scope, now = request.auth.scope, site.rt.clock.now()
    scope.require(Grant.MANAGE)
    if act == "test":
        return await _test(site, request, name, await Form.of(request))
    async with site.rt.db.write(scope) as tx:
        if act == "remove":
            await relays.remove(tx, scope, name=name, now=now)
            return done(site, RELAYS, f"{name} was removed")
        if act in ("enable", "disable"):
            changes = RelayChanges(enabled=act == "enable")
            await relays.update(tx, scope, name=name, changes=changes, now=now)
            return done(site, RELAYS, f"{name} is {act}d")
    raise NotFound("there is no such page")


async def _test(site: Site, request: UserRequest, name: str, form: Form) -> Response[Any]:
    """Connect and log in; with both addresses also send one message. The page shows each step."""
    typed = [form.text("sender"), form.text("recipient")]
    if any(typed) and not all(typed):
        raise InvalidInput("a test message needs both its sender and its recipient")
    author, recipient = (parse_address(text) if text else None for text in typed)
    scope = request.auth.scope
    await count_test(site.rt, instance_scope(request), tenant_id=scope.tenant_id)
    report = await try_relay(
        site.rt.db,
        scope,
        name=name,
        keyring=site.rt.keyring,
        settings=site.rt.settings,
        author=author,
        recipient=recipient,
        now=site.rt.clock.now(),
    )
    return await page(site, request, "pages/relay_test.html", relay=name, report=report)


@get(DOMAINS)
async def domain_list(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Every sending domain with what its checks said last."""
    scope, params = request.auth.scope, params_of(request, "verified")
    chosen = either(params["verified"])
    async with site.rt.db.read(scope) as tx:
        found: Page[SendingDomain] = await domains.list_domains(
            tx, scope, request=page_of(params), text=params["q"], verified=chosen
        )
    listing = Listing(DOMAINS, params, found, "domain", "domains")
    return await page(site, request, "pages/domains.html", listing=listing)


@get("/domains/new")
async def domain_new(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """An empty form."""
    request.auth.scope.require(Grant.MANAGE)
    return await form_page(site, request, "pages/domain_form.html", Form())


@post("/domains/new")
async def domain_create(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Add a domain; its first key is made outside of any transaction."""
    scope, form = request.auth.scope, await Form.of(request)
    scope.require(Grant.MANAGE)
    with form.checking("domain"):
        wanted = domains.check_domain(form.text("domain"))
        key = await domains.new_key()
        async with site.rt.db.write(scope) as tx:
            await domains.add_domain(
                tx, scope, domain=wanted, key=key, keyring=site.rt.keyring, now=site.rt.clock.now()
            )
        return done(site, f"{DOMAINS}/{wanted}", f"{wanted} was added; publish its records")
    return await form_page(site, request, "pages/domain_form.html", form)


@get("/domains/{name:str}")
async def domain_show(
    request: UserRequest, site: NamedDependency[Site], name: FromPath[str]
) -> Response[str]:
    """The records to publish, and what the last check found."""
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        found = await domains.get_domain(tx, scope, domain=name)
        records = await verification.records_of(tx, scope, found)
    return await page(site, request, "pages/domain.html", domain=found.domain, records=records)


@post("/domains/{name:str}/{act:str}")
async def domain_act(
    request: UserRequest, site: NamedDependency[Site], name: FromPath[str], act: FromPath[str]
) -> Response[Any]:
    """Verify by asking the DNS, or remove."""
    scope, now, here = request.auth.scope, site.rt.clock.now(), f"{DOMAINS}/{name}"
    scope.require(Grant.MANAGE)
    if act == "verify":
        found = await verification.verify(
            site.rt.db, scope, domain=name, settings=site.rt.settings.dns, now=now
        )
        if missing := verification.missing(found.domain):
            return done(site, here, sentence(f"not in place yet: {', '.join(missing)}"), "warning")
        return done(site, here, f"{name} is verified")
    if act == "remove":
        async with site.rt.db.write(scope) as tx:
            await domains.remove(tx, scope, domain=name, now=now)
        return done(site, DOMAINS, f"{name} was removed")
    raise NotFound("there is no such page")
