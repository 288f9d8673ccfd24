"""The pages in a real Chromium: what a person sees, with the strict policy on and nobody to complain to."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from mailengine.domain.tracking.tokens import Purpose

expect.set_options(timeout=20_000)  # the machine may be busy with other tests

pytestmark = [pytest.mark.anyio, pytest.mark.peer("chromium")]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield opened
        await opened.close()


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """What the browser sees does not depend on the database."""
    return sqlite_dsn


def listen(page: Page) -> list[str]:
    """Everything that the browser complains about: errors, violations of the policy, requests to elsewhere."""
    said: list[str] = []

    def failed(url: str) -> None:
        if "/events/" not in url:  # a stream ends when its page is left
            said.append(f"failed: {url}")

    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: failed(request.url))
    return said


STILL = "() => document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations > 9)"


async def accessible(page: Page) -> None:
    """No violation of WCAG 2.1 AA, once what fades in is there: half faded in, nothing has enough contrast."""
    await page.wait_for_function(STILL)
    found = await Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()


async def log_in(page: Page, url: str) -> None:
    await page.goto(f"{url}/login")
    await page.get_by_label("E-mail address").fill("owner@acme.test")
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda here: "/login" not in here)


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
    context = await browser.new_context(color_scheme=scheme)
    page = await context.new_page()
    said = listen(page)
    await log_in(page, served.url)
    await page.goto(f"{served.url}/styleguide")
    await accessible(page)
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
