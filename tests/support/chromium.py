"""A real Chromium and what tests ask of a page in it: nothing to complain of, accessible, at home on a phone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, Page, Request, async_playwright, expect

from support.browsing import PASSWORD, TOKEN

expect.set_options(timeout=20_000)  # the machine may be busy with other tests

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Debian's shell without windows draws a page for four fifths of the processor time of the whole browser.
PROGRAM = which("chromium-headless-shell") or "/usr/bin/chromium"
STILL = "() => document.getAnimations().every(a => a.playState !== 'running' || a.effect.getTiming().iterations > 9)"
SHIFTED = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) sum += e.value; })
    .observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => setTimeout(() => done(sum), 50));
})"""
NAMED = """() => {
  const at = document.activeElement, label = at.labels && at.labels[0];
  return ((label && label.textContent) || at.getAttribute("aria-label") || at.textContent || "").trim();
}"""
RINGED = """() => {
  const {outlineStyle, boxShadow} = getComputedStyle(document.activeElement);
  return outlineStyle !== "none" || boxShadow !== "none";
}"""
# What passed is not described element by element; frames (letters in a sandbox) run no script, so none is asked.
BRIEF = {"resultTypes": ["violations"], "iframes": False}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], **BRIEF}
# Of the other theme: nothing but the colours differs.
CONTRAST = {"runOnly": ["color-contrast"], **BRIEF}
FAULTS = """async options => (await axe.run(options)).violations.flatMap(each =>
  each.nodes.map(node => `${each.id}: ${node.failureSummary} ${node.html}`))"""
DESKTOP, PHONE = (1280, 800), (375, 700)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=FLAGS
        )
        yield opened
        await opened.close()


def listen(page: Page, home: str = "") -> list[str]:
    """Everything that the browser complains about: errors, violations of the policy, requests to elsewhere than
    `home`."""
    said: list[str] = []

    def failed(request: Request) -> None:
        # What a page gives up itself is none: a count of what was typed since, a stream of events when it is left.
        if request.failure != "net::ERR_ABORTED":
            said.append(f"failed: {request.url}")

    def asked(url: str) -> None:
        if home and not url.startswith((home, "data:", "blob:", "about:")):
            said.append(f"asked: {url}")

    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", failed)
    page.on("request", lambda request: asked(request.url))
    return said


async def choose_by_keyboard(page: Page, file: Path) -> None:
    """Press Enter on the field for a file, and choose this one. The chooser is caught before the key is pressed:
    under load the key overtakes Playwright's order to catch it, and nothing comes."""
    page.on("filechooser", lambda _: None)
    await page.evaluate("1")
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files(file)


async def accessible(page: Page) -> None:
    """No violation of WCAG 2.1 AA, once what fades in is there: half faded in, nothing has enough contrast. A toast
    that began to go while axe looked at it is not there at the second look."""
    found: list[str] = []
    for _ in range(2):
        found = await faults(page, WCAG)
        if not found:
            return
    raise AssertionError("\n".join(found))


async def faults(page: Page, options: dict[str, Any]) -> list[str]:
    """What axe finds. It is brought into a page once: what it has run once, it runs again in half the time."""
    await page.wait_for_function(STILL)
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    found: list[str] = await page.evaluate(FAULTS, options)
    return found


async def sound(page: Page, url: str, *, dark: bool, both: bool = True) -> None:
    """The page at this address: one heading, nothing that moves while it loads, no wider than a phone, accessible; in
    one theme, and legible in the other one (`both`)."""
    here, there = ("dark", "light") if dark else ("light", "dark")
    await resize(page, DESKTOP)
    await page.emulate_media(color_scheme=here)
    await page.goto(url)
    assert await page.locator("h1").count() == 1, url
    assert await page.evaluate(SHIFTED) < 0.1, f"{url} moves while it loads"
    await resize(page, PHONE)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], url
    await accessible(page)
    if not both:
        return
    await page.emulate_media(color_scheme=there)
    assert await faults(page, CONTRAST) == [], f"{url}, {there}"


async def resize(page: Page, size: tuple[int, int]) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})


async def log_in(page: Page, url: str, email: str = "owner@acme.test") -> None:
    """As the form of /login does it, without the two pages that a person would see on the way: other tests do."""
    form = await (await page.request.get(f"{url}/login")).text()
    token = TOKEN.search(form)
    assert token
    given = {"email": email, "password": PASSWORD, "_csrf_token": token[1]}
    answer = await page.request.post(
        f"{url}/login", form=given, headers={"Referer": f"{url}/login"}, max_redirects=0
    )
    assert answer.status == 303, await answer.text()


async def reach(page: Page, name: str, tabs: int = 60) -> None:
    """Press Tab until what has that name has the focus, and shows it."""
    for _ in range(tabs):
        await page.keyboard.press("Tab")
        if await page.evaluate(NAMED) == name:
            assert await page.evaluate(RINGED), f"{name} has no visible focus"
            return
    raise AssertionError(f"the keyboard never reaches {name}")
