"""The pages in a real Chromium: what a person sees, with the strict policy on and nobody to complain to."""

import asyncio
import re
from collections.abc import AsyncIterator
from mailbox import Maildir
from typing import Any

import pytest
from litestar import Litestar
from playwright.async_api import Browser, Route, expect

from mailengine.domain.accounts import invitations, recovery, sign_up
from mailengine.domain.accounts.tenants import check_tenant
from mailengine.domain.contacts.attributes import register
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.jobs import jobs
from mailengine.domain.senders import domains
from mailengine.domain.signup.forms import FormFields, create_form
from mailengine.domain.tracking.tokens import Purpose
from mailengine.models import Campaign, CampaignState, JobKind, Message, Role
from mailengine.runtime import Runtime
from support.chromium import accessible, chromium, listen, log_in, reach, sound
from support.house import INSTANCE

pytestmark = [pytest.mark.anyio, pytest.mark.peer("chromium")]


@pytest.fixture(scope="module")
async def started() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def browser(started: Browser) -> AsyncIterator[Browser]:
    """Nothing of a test before is open in it."""
    yield started
    for context in started.contexts:
        await context.close()


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the browser sees does not depend on the database."""
    return sqlite_dsn


async def test_a_campaign_is_watched_paused_and_resumed(
    browser: Browser, served: Any, acme: Any, under_way: Any, accept: Any
):
    await under_way(served.rt, acme, 10)
    page = await browser.new_page()
    said = listen(page)
    await page.goto(f"{served.url}/")
    await accessible(page)
    await page.get_by_label("E-mail address").fill("owner@acme.test")
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("link", name="Campaigns", exact=True).first.click()
    row = page.locator(f"#campaign-{acme.campaign_id}")
    await expect(row).to_contain_text("1 of 10")
    await page.evaluate("window.stillHere = true")
    await accept(served.rt, acme, 4)
    await expect(row).to_contain_text("5 of 10")
    await row.get_by_role("button", name="Pause").click()
    await expect(row).to_contain_text("Paused")
    await expect(page.locator("#toaster")).to_contain_text("is paused")
    await row.get_by_role("button", name="Resume").click()
    await expect(row).to_contain_text("Sending")
    await row.get_by_role("button", name="Cancel").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the campaign").click()
    await expect(row).to_contain_text("Cancelled")
    assert await page.evaluate("window.stillHere") is True, "the page was loaded again"
    await accessible(page)
    await page.set_viewport_size({"width": 375, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    await accessible(page)
    await page.set_viewport_size({"width": 1280, "height": 720})
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(re.compile("/login$"))
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_component_is_accessible(browser: Browser, served: Any, acme: Any, scheme: Any):
    context = await browser.new_context(color_scheme=scheme, permissions=["clipboard-write"])
    page = await context.new_page()
    said = listen(page)
    await log_in(page, served.url)
    await page.goto(f"{served.url}/styleguide")
    await accessible(page)
    await page.get_by_role("button", name="Copy the record").click()
    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    await page.get_by_role("button", name="Toast: success").click()
    await expect(page.get_by_role("status").filter(has_text="This is what it says")).to_be_visible()
    await page.get_by_role("button", name="Delete …").click()
    dialog = page.get_by_role("dialog", name="Delete Ann Example?").get_by_role("heading")
    await expect(dialog).to_be_visible()
    await accessible(page)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.set_viewport_size({"width": 375, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    await accessible(page)
    assert said == []
    await context.close()


PAGES = [
    "/",
    "/campaigns",
    "/campaigns/new",
    "/campaigns/{campaign}",
    "/campaigns/{campaign}/recipients",
    "/campaigns/{draft}/content",
    "/campaigns/{draft}/audience",
    "/campaigns/{draft}/delivery",
    "/campaigns/{draft}/review",
    "/templates",
    "/templates/new",
    "/templates/{template}/edit",
    "/templates/{template}/versions",
    "/templates/{template}/versions/1",
    "/templates/deleted",
    "/contacts",
    "/contacts/new",
    "/contacts/{contact}",
    "/contacts/{contact}/edit",
    "/attributes/plan",
    "/attributes/age",
    "/lists",
    "/campaigns/deleted",
    "/lists/{list}",
    "/lists/new",
    "/segments",
    "/segments/new",
    "/segments/{segment}",
    "/forms",
    "/forms/new",
    "/forms/{form}",
    "/suppression",
    "/delivery",
    "/delivery/dead-letters",
    "/delivery/doubts",
    "/delivery/messages",
    "/delivery/messages/{message}",
    "/domains?q=nothing",
    "/team",
    "/settings/keys",
    "/account",
    "/account/second-factor",
    "/settings/organisation",
    "/settings/links",
    "/setup",
    "/setup/relay",
    "/setup/domain",
    "/setup/base-url",
    "/relays",
    "/relays/new",
    "/domains",
    "/domains/new",
    "/jobs",
    "/jobs/{job}",
    "/domains/{domain}",
    "/account/confirm",
    "/caught",
    "/caught/{caught}",
]
WAYS_IN = (
    "/login",
    "/forgot",
    "/sign-up",
    "/reset/{reset}",
    "/sign-up/{sign_up}",
    "/invitations/{invitation}",
)
# Seen on the way of another test: the first steps and the second factor in test_first_walk, an import and what
# contacts have in test_browser_contacts, all components above.
ELSEWHERE = {
    "/setup/start/{}", "/login/code", "/account/email/{}", "/styleguide", "/oidc/login", "/oidc/callback",
    "/imports", "/imports/new", "/imports/{}", "/tags", "/tags/{}", "/attributes", "/audit", "/contacts/{}/erase",
}  # fmt: skip
NO_PAGE = re.compile(
    r"/(?:events|exports|static|api|livez|readyz|health|metrics|[cofpuv])(?:/.*)?|/(?:caught|imports)/{}/(?:html|raw|errors)"
    r"|.*/(?:counts?|holders|members|preview|recipients\.csv|suppression\.csv|choices/\{\})"
)


def test_every_page_is_looked_at(all_routes: Litestar) -> None:
    """Every address that answers with a page is one of those that the tests below open."""
    opened = {_shape(path.partition("?")[0]) for path in (*PAGES, *WAYS_IN)} | ELSEWHERE
    routes = {
        _shape(route.path_format) for route in all_routes.routes if "GET" in getattr(route, "methods", ())
    }
    assert {path for path in routes - opened if not NO_PAGE.fullmatch(path)} == set()
    assert opened <= routes


def _shape(path: str) -> str:
    """Without what differs from row to row."""
    return re.sub(r"\{[^}]*\}|(?<=/)\d+|(?<=/attributes/)\w+", "{}", path)


@pytest.mark.timeout(300)  # fifty pages, on a machine that has other things to do
async def test_every_page_is_accessible_and_fits_a_phone(browser: Browser, served: Any, acme: Any):
    page = await browser.new_page(color_scheme="dark")
    said = listen(page, served.url)
    await log_in(page, served.url)
    ids = {
        "campaign": acme.campaign_id,
        "template": acme.template_id,
        "contact": acme.contact_id,
        "list": acme.list_id,
        **await more_rows(served.rt, acme),
    }
    for number, path in enumerate(PAGES):
        await sound(page, served.url + path.format(**ids), dark=bool(number % 2))
    assert said == []


@pytest.mark.parametrize("served", [{"accounts": {"sign_up": "open"}}], indirect=True)
async def test_the_ways_in_are_accessible_and_fit_a_phone(browser: Browser, served: Any, acme: Any):
    rt, now = served.rt, served.rt.clock.now()
    details = check_tenant(name="New", country="DE", postal_address="1 Road")
    async with rt.db.write(INSTANCE) as tx:
        reset = await recovery.ask_reset(tx, INSTANCE, email="owner@acme.test", now=now)
        asked = {"email": "new@acme.test", "password_hash": "-", "details": details}
        new = await sign_up.ask(tx, INSTANCE, **asked, now=now)
    async with rt.db.write(acme.scope) as tx:
        invited = await invitations.invite(tx, acme.scope, email="bo@acme.test", role=Role.EDITOR, now=now)
    assert reset is not None
    assert new is not None
    tokens = {"reset": reset.token, "sign_up": new.token, "invitation": invited.token}
    page = await browser.new_page()
    said = listen(page, served.url)
    for number, path in enumerate(WAYS_IN):
        await sound(page, served.url + path.format(**tokens), dark=bool(number % 2))
    assert said == []


async def more_rows(rt: Runtime, sent: Any) -> dict[str, int | str]:
    """A segment with everything that its builder can show, a draft for it, a sign-up form, an attribute that is used
    and one that is not."""
    text = '(first_name != Bo or list in ("acme customers")) and not opened within 90 days and state = subscribed'
    fields = FormFields(name="Footer", lists=["acme customers"], ask_name=True)
    key = await domains.new_key("ed25519")
    async with rt.db.write(sent.scope) as tx:
        now = rt.clock.now()
        await register(tx, sent.scope, {"plan": "The plan", "age": "Age"})
        segment = await saved.add(tx, sent.scope, name="Asleep", rule=parse(text), now=now)
        await saved.add(tx, sent.scope, name="Seven", rule=parse("age = 7"), now=now)
        form = await create_form(tx, sent.scope, fields, organisation="Acme", now=now)
        at = {"tenant_id": int(sent.scope.tenant_id), "created_at": now, "updated_at": now}
        of = {"template_id": sent.template_id, "list_ids": [sent.list_id], "segment_ids": [segment.id]}
        draft = Campaign(
            name="Draft", state=CampaignState.DRAFT, subject="S", from_email="a@x.test", **of, **at
        )
        message = Message(
            tenant_id=at["tenant_id"], kind="notice", email="a@x.test", from_email="b@x.test",
            subject="Your link", text="x", status="failed", cause="auth", last_reply="535 5.7.8 " + "no" * 200,
            created_at=now, scheduled_at=now, finished_at=now,
        )  # fmt: skip
        tx.add_all([draft, message])
        await tx.flush()
        job = await jobs.create(tx, sent.scope, kind=JobKind.BULK, title="Tag contacts", now=now)
        signs = {"key": key, "keyring": rt.keyring}
        await domains.add_domain(tx, sent.scope, domain="acme.test", **signs, now=now)
    assert rt.settings.catcher.maildir is not None
    caught = Maildir(rt.settings.catcher.maildir).add(b"From: a@x.test\r\nSubject: Hello\r\n\r\nHi\r\n")
    rows = {"segment": segment.id, "form": form.id, "draft": draft.id, "job": job.id, "caught": caught}
    rows["message"] = message.id
    return {name: found or 0 for name, found in rows.items()} | {"domain": "acme.test"}


async def test_a_contact_is_added_found_and_deleted_without_loading_a_page_anew(
    browser: Browser, served: Any, acme: Any
):
    page = await browser.new_page()
    said = listen(page)
    await log_in(page, served.url)
    await page.goto(f"{served.url}/")
    await page.evaluate("window.stillHere = true")
    await page.get_by_role("link", name="Contacts", exact=True).click()
    await page.get_by_role("link", name="Add a contact").click()
    await page.get_by_label("E-mail address").fill("bo@example.org")
    await page.get_by_label("How they agreed").fill("   ")
    await page.get_by_role("button", name="Add the contact").click()
    await expect(page.get_by_text("Say how they agreed to be written to.")).to_be_visible()
    await expect(page.get_by_label("E-mail address")).to_have_value("bo@example.org")
    await page.get_by_label("How they agreed").fill("trade fair")
    await page.get_by_role("button", name="Add the contact").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("bo@example.org")
    await expect(page.locator(".toast")).to_contain_text("bo@example.org was added")
    await page.get_by_role("link", name="Contacts", exact=True).first.click()
    search = page.get_by_role("searchbox")
    await search.press_sequentially("bo@")
    await expect(page.locator("#list tbody tr")).to_have_count(1)
    await expect(search).to_be_focused()
    await expect(page).to_have_url(re.compile(r"q=bo"))
    await page.get_by_label("Select bo@example.org").check()
    bar = page.get_by_label("Selected rows")
    await expect(bar).to_contain_text("1 selected")
    await bar.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".toast")).to_contain_text("1 contact deleted")
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert await page.evaluate("window.stillHere") is True, "a page was loaded again"
    assert [words for words in said if "422" not in words] == []  # the mistake that was made on purpose


async def test_a_campaign_is_made_with_the_keyboard_alone(browser: Browser, served: Any, acme: Any):
    page = await browser.new_page()
    said = listen(page)
    await log_in(page, served.url)
    await page.goto(f"{served.url}/campaigns")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await reach(page, "New campaign")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="New campaign")).to_be_visible()
    await reach(page, "Name of the campaign")
    for text in ("Summer", "Hello", "acme", "Acme", "news@acme.test"):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("checkbox", name="acme customers")).to_be_visible()
    await expect(page.locator("form#audience")).to_contain_text("1 subscribed")
    await expect(page.locator("#reach")).to_contain_text("Choose at least one list or segment.")
    await reach(page, "acme customers")
    await page.keyboard.press("Space")
    await expect(page.locator("#reachable")).to_have_text("1")
    await reach(page, "Save and continue")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Send through")).to_be_visible()
    await reach(page, "Save and continue")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Checklist")).to_be_visible()
    assert said == []


async def test_a_segment_is_built_with_the_keyboard_alone(browser: Browser, served: Any, acme: Any):
    page = await browser.new_page()
    said = listen(page)
    await log_in(page, served.url)
    await page.goto(f"{served.url}/segments/new")
    await page.evaluate("window.stillHere = true")
    people = page.locator("#segment-people")
    await expect(people).to_have_text("1")
    await reach(page, "Name")
    await page.keyboard.type("Anns")
    await reach(page, "Condition 1: what about")
    await page.keyboard.type("First n")
    await expect(page.get_by_label("Condition 1: comparison")).to_be_visible()
    await expect(page.get_by_label("Condition 1: what about")).to_be_focused()
    await reach(page, "Condition 1: value")
    await page.keyboard.type("Bo")
    await expect(people).to_have_text("0")
    await expect(page.get_by_label("Condition 1: value")).to_be_focused()
    await expect(page.get_by_label("The segment as text")).to_have_value("first_name = Bo")
    await reach(page, "Condition")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Condition 2: what about")).to_be_focused()
    await page.keyboard.type("Added")
    await reach(page, "Remove condition 2")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Condition 2: what about")).to_have_count(0)
    await expect(page.get_by_label("Condition 1: value")).to_have_value("Bo")
    await reach(page, "As text")
    await page.keyboard.press("Enter")
    await reach(page, "The segment as text")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("state = bounced or tag = nothing")
    await expect(page.get_by_text("There is no tag nothing.").first).to_be_visible()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("state = subscribed or email contains acme")
    await expect(people).to_have_text("1")
    await expect(page.get_by_label("Condition 2: value")).to_have_value("acme")
    await accessible(page)
    await reach(page, "Save the segment")
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast")).to_contain_text("The segment Anns was saved")
    assert await page.evaluate("window.stillHere") is True, "a page was loaded again"
    await page.goto(f"{served.url}/segments")
    await expect(page.get_by_role("row", name="Anns").locator("[data-needs-js]")).to_have_text("1")
    assert said == []


async def test_what_is_typed_while_the_builder_is_on_its_way_stays(browser: Browser, served: Any, acme: Any):
    page = await browser.new_page()
    await log_in(page, served.url)
    await page.goto(f"{served.url}/segments/new")
    await page.get_by_label("Condition 1: what about").select_option(label="First name")
    value, arrives = page.get_by_label("Condition 1: value"), asyncio.Event()
    await expect(value).to_be_visible()

    async def later(route: Route) -> None:
        await arrives.wait()
        await route.continue_()

    await page.route("**/segments/new*", later, times=1)
    await page.get_by_label("Condition 1: comparison").select_option("contains")
    await value.fill("Bo")
    arrives.set()
    await expect(page.get_by_label("The segment as text")).to_have_value("first_name contains Bo")
    await expect(value).to_have_value("Bo")


async def test_leaving_needs_no_script(browser: Browser, served: Any, acme: Any):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{served.url}/u/{acme.token(served.rt, Purpose.MANAGE)}")
    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    await page.get_by_role("button", name="Subscribe again").click()
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_recipients_see_is_accessible(browser: Browser, served: Any, acme: Any, scheme: Any):
    context = await browser.new_context(color_scheme=scheme)
    page = await context.new_page()
    said = listen(page)
    token = acme.token(served.rt, Purpose.MANAGE)
    await page.goto(f"{served.url}/u/{token}")
    await accessible(page)
    await page.get_by_role("button", name="Unsubscribe").click()
    await expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    await accessible(page)
    await page.goto(f"{served.url}/api/docs")
    await accessible(page)
    assert said == []
    await page.goto(f"{served.url}/u/wrong")
    await expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    await accessible(page)
    await context.close()
