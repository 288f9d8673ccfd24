"""`make screenshots`: pictures of the main pages of the installation in the data directory, at desktop and phone
width, in both themes. For looking at; nothing compares them.

    MAILENGINE_DATA_DIR=… MAILENGINE_USER=owner@… MAILENGINE_PASSWORD=… python -m screenshots FOLDER
"""

import asyncio
import os
import re
import sys
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from mailengine.core.config import load_settings
from mailengine.runtime import open_runtime
from support.chromium import PROGRAM
from support.served import listener, serving

PAGES = (
    "/", "/campaigns", "/campaigns/new", "/campaigns/1", "/campaigns/1/recipients", "/campaigns/2/content",
    "/campaigns/2/audience", "/campaigns/2/delivery", "/campaigns/2/review", "/campaigns/deleted", "/templates",
    "/templates/new", "/templates/1/edit", "/templates/1/versions", "/templates/1/versions/1", "/contacts",
    "/contacts?deleted=1", "/contacts/1", "/contacts/new", "/attributes", "/imports", "/lists", "/lists/1", "/tags",
    "/tags/1", "/segments", "/segments/new", "/forms", "/forms/new", "/audit", "/suppression", "/delivery",
    "/delivery/dead-letters", "/delivery/doubts", "/delivery/messages", "/delivery/messages/1",
    "/relays", "/relays/new", "/domains", "/domains/new", "/jobs",
    "/settings/organisation", "/settings/links", "/settings/keys", "/team", "/account", "/account/second-factor",
    "/setup", "/styleguide",
)  # fmt: skip
WIDTHS = {"desktop": (1280, 800), "phone": (375, 760)}


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bound = listener()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    async with (
        open_runtime(load_settings()) as rt,
        serving(rt, bound, asyncio.Event()),
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        for theme in ("dark", "light"):
            for width in WIDTHS:
                await walk(browser, url, folder, theme, width)
        await browser.close()


async def walk(browser: Browser, url: str, folder: Path, theme: str, width: str) -> None:
    page = await browser.new_page(color_scheme="dark" if theme == "dark" else "light")
    across, down = WIDTHS[width]
    await page.set_viewport_size({"width": across, "height": down})
    await page.goto(f"{url}/login")
    await page.get_by_label("E-mail address").fill(os.environ["MAILENGINE_USER"])
    await page.get_by_label("Password").fill(os.environ["MAILENGINE_PASSWORD"])
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda here: "/login" not in here)
    for path in PAGES:
        await page.goto(url + path, wait_until="networkidle" if path == "/templates" else "load")
        name = re.sub(r"[^a-z0-9]+", "-", path.strip("/")) or "dashboard"
        await page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
    await page.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")))
