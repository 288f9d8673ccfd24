"""First steps: the first user, a relay, a sending domain, the base URL. Each can be left and come back to.

What is done is seen from what there is, so that nothing needs to be remembered: a relay, a domain, a base URL.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath

from mailengine.core.errors import Conflict, InvalidInput, NotFound, Refused
from mailengine.core.scope import Grant
from mailengine.domain.accounts import sessions, setup
from mailengine.domain.accounts.users import hash_password
from mailengine.domain.delivery.trial import try_relay
from mailengine.domain.senders import domains, relays
from mailengine.domain.senders.verification import records_of
from mailengine.mail.address import parse_address
from mailengine.models import Tls
from mailengine.web.counting import count_test
from mailengine.web.forms import Form
from mailengine.web.pages.frame import UserRequest, done, form_page
from mailengine.web.pages.login import admitted
from mailengine.web.pages.organisation import country_options
from mailengine.web.pages.sign_up import check_form
from mailengine.web.redirects import HOME, go_to
from mailengine.web.session import NEEDS, instance_scope
from mailengine.web.site import Site
from mailengine.web.visitors import (
    MAX_FORM_BYTES,
    AnyRequest,
    agent_of,
    fields,
    require_our_form,
    visitor_page,
)

RELAY = "main"
STEPS = (
    ("relay", "/setup/relay", "Mail server"),
    ("domain", "/setup/domain", "Sending domain"),
    ("address", "/setup/base-url", "Web address"),
)
MANAGE = {NEEDS: Grant.MANAGE}
OWN = {NEEDS: Grant.OWN}
TLS_CHOICES = [("starttls", "STARTTLS (port 587)"), ("tls", "TLS (port 465)"), ("none", "None")]


@get("/setup/start/{token:str}")
async def begin_form(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """The organisation and its first user; only by the link that the daemon printed."""
    await check_open(site, request, token)
    return show_begin(site, request, Form())


@post("/setup/start/{token:str}", request_max_body_size=MAX_FORM_BYTES)
async def begin(request: AnyRequest, site: NamedDependency[Site], token: FromPath[str]) -> Response[Any]:
    """Make them, and log in."""
    await require_our_form(site, request)
    await check_open(site, request, token)
    form = await Form.of(request)
    details = check_form(form)
    if details is None:
        return show_begin(site, request, form, status=422)
    (password,) = await fields(request, "password")
    password_hash = await hash_password(password)
    instance, now = instance_scope(request), site.rt.clock.now()
    async with site.rt.db.write(instance) as tx:
        member = await setup.first_tenant(
            tx,
            instance,
            token=token,
            details=details,
            email=parse_address(form.text("email")).email,
            password_hash=password_hash,
            now=now,
        )
        login = await sessions.begin(tx, instance, member=member, now=now, agent=agent_of(request))
    return await admitted(site, request, login, "/setup")


@get("/setup", opt=MANAGE)
async def resume(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """The first step that is not done."""
    done_steps = await steps_done(site, request)
    return go_to(next((path for key, path, _ in STEPS if key not in done_steps), STEPS[-1][1]))


@get("/setup/relay", opt=MANAGE)
async def relay_form(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The server that takes the mail."""
    return await relay_page(site, request, Form())


@post("/setup/relay", opt=MANAGE)
async def add_relay(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Store it; the test says whether it works."""
    form, scope = await Form.of(request), request.auth.scope
    (password,) = await fields(request, "password")
    with form.checking("host"):
        details = relays.check_relay(
            name=RELAY,
            host=form.text("host"),
            port=form.number("port"),
            tls=tls_of(form.text("tls")),
            username=form.text("username"),
            password=password,
        )
        async with site.rt.db.write(scope) as tx:
            await relays.add(tx, scope, details=details, keyring=site.rt.keyring, now=site.rt.clock.now())
    if form.failed:
        return await relay_page(site, request, form)
    return done(site, "/setup/relay", "The mail server is stored. Send yourself a test message")


@post("/setup/relay/test", opt=MANAGE)
async def test_relay(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """A message to oneself, by the first relay; counted, because it connects to whatever host was named."""
    scope, form = request.auth.scope, Form()
    person = parse_address(request.auth.user.email)
    with form.checking("test"):
        await count_test(site.rt, instance_scope(request), tenant_id=scope.tenant_id)
        async with site.rt.db.read(scope) as tx:
            relay = await relays.default_relay(tx, scope)
        if relay is None:
            raise NotFound("there is no mail server yet")
        report = await try_relay(
            site.rt.db,
            scope,
            name=relay.name,
            keyring=site.rt.keyring,
            settings=site.rt.settings,
            author=person,
            recipient=person,
            now=site.rt.clock.now(),
        )
        failed = next((step for step in report.steps if not step.ok), None)
        if failed is not None:
            raise Refused(f"it fails at {failed.name}: {failed.words}")
    if form.failed:
        return await relay_page(site, request, form)
    return done(site, "/setup/domain", f"The server took a test message for {person.email}")


@get("/setup/domain", opt=MANAGE)
async def domain_form(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """The domain that mail is from, and what must stand in its DNS."""
    return await domain_page(site, request, Form())


@post("/setup/domain", opt=MANAGE)
async def add_domain(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Store it with a key to sign by; the page then shows the records to copy."""
    form, scope = await Form.of(request), request.auth.scope
    with form.checking("domain"):
        name = domains.check_domain(form.text("domain"))
        key = await domains.new_key()
        async with site.rt.db.write(scope) as tx:
            await domains.add_domain(
                tx, scope, domain=name, key=key, keyring=site.rt.keyring, now=site.rt.clock.now()
            )
    if form.failed:
        return await domain_page(site, request, form)
    return done(site, "/setup/domain", "Copy the records below to where your DNS is managed")


@get("/setup/base-url", opt=MANAGE)
async def address_form(request: UserRequest, site: NamedDependency[Site]) -> Response[str]:
    """Where people reach the installation: the root of every link in its mail."""
    return await address_page(site, request, Form({"base_url": site.rt.settings.base_url}))


@post("/setup/base-url", opt=OWN)
async def set_address(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Store it and finish; every role starts again with it, once this is answered."""
    form, scope, now = await Form.of(request), request.auth.scope, site.rt.clock.now()
    url = ""
    with form.checking("base_url"):
        url = setup.check_base_url(form.text("base_url"))
        await check_changeable(site, request, url)
        async with site.rt.db.write(scope) as tx:
            await setup.set_base_url(tx, scope, url=url, now=now)
            await setup.finish(tx, scope, now=now)
    if form.failed:
        return await address_page(site, request, form)
    answer = done(site, HOME, "Set up. Import contacts, write a template, and send")
    if url != site.rt.settings.base_url:
        answer = visitor_page(site, request, "pages/account/moved.html", url=url, host=urlsplit(url).netloc)
        answer.background = BackgroundTask(site.restart)
    return answer


@post("/setup/finish", opt=MANAGE)
async def finish(request: UserRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Leave the rest for later; the settings pages have all of it."""
    scope = request.auth.scope
    async with site.rt.db.write(scope) as tx:
        await setup.finish(tx, scope, now=site.rt.clock.now())
    return done(site, HOME, "Whatever is left is in the settings")


async def check_open(site: Site, request: AnyRequest, token: str) -> None:
    instance = instance_scope(request)
    async with site.rt.db.read(instance) as tx:
        if not await setup.setup_open(tx, instance, token=token, now=site.rt.clock.now()):
            raise NotFound("this link has expired or was used; start the daemon again for another, or log in")


async def check_changeable(site: Site, request: UserRequest, url: str) -> None:
    """A base URL in the settings counts above the stored one: storing another would change nothing."""
    instance, settings = instance_scope(request), site.rt.settings
    async with site.rt.db.read(instance) as tx:
        stored = await setup.base_url(tx, instance)
    fixed = settings.web.base_url is not None and settings.base_url != stored
    if fixed and url != settings.base_url:
        raise Conflict(f"the settings say {settings.base_url} (MAILENGINE_WEB_BASE_URL); change it there")


def tls_of(text: str) -> Tls:
    try:
        return Tls(text)
    except ValueError as error:
        raise InvalidInput("choose how the connection is encrypted") from error


async def steps_done(site: Site, request: UserRequest) -> set[str]:
    scope, instance = request.auth.scope, instance_scope(request)
    found = set()
    async with site.rt.db.read(scope) as tx:
        if await relays.default_relay(tx, scope) is not None:
            found.add("relay")
        if (await domains.list_domains(tx, scope)).items:
            found.add("domain")
    async with site.rt.db.read(instance) as tx:
        if site.rt.settings.web.base_url is not None or await setup.base_url(tx, instance):
            found.add("address")
    return found


async def relay_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        relay = await relays.default_relay(tx, scope)
    return await step_page(site, request, "relay", form, relay=relay, tls_choices=TLS_CHOICES)


async def domain_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    scope = request.auth.scope
    async with site.rt.db.read(scope) as tx:
        known = [
            await domains.get_domain(tx, scope, domain=row.domain)
            for row in (await domains.list_domains(tx, scope)).items
        ]
        records = [(row.domain.domain, await records_of(tx, scope, row)) for row in known]
    return await step_page(site, request, "domain", form, records=records)


async def address_page(site: Site, request: UserRequest, form: Form) -> Response[str]:
    return await step_page(site, request, "address", form, owns=Grant.OWN in request.auth.scope.grants)


async def step_page(
    site: Site, request: UserRequest, key: str, form: Form, **values: object
) -> Response[str]:
    return await form_page(
        site,
        request,
        f"pages/account/setup_{key}.html",
        form,
        steps=STEPS,
        step=key,
        steps_done=await steps_done(site, request),
        **values,
    )


def show_begin(site: Site, request: AnyRequest, form: Form, *, status: int = 200) -> Response[str]:
    return visitor_page(
        site,
        request,
        "pages/account/setup_start.html",
        status=status,
        form=form,
        countries=country_options(),
    )
