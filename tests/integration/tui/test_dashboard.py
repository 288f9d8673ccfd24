"""What works on every screen: sections, palette, help, light and dark, sizes, the mouse."""

from collections import Counter

import pytest
from textual.binding import Binding

from mailengine.domain.delivery import kill_switch
from mailengine.tui.app import Dashboard
from mailengine.tui.screens.campaign import CampaignScreen
from mailengine.tui.screens.campaigns import CampaignsScreen
from mailengine.tui.screens.help import KEYS
from mailengine.tui.screens.page import Page
from mailengine.tui.widgets.top_bar import SECTIONS
from support.dashboard import dashboard
from support.world import INSTANCE, World

pytestmark = pytest.mark.anyio
SEEN = {
    "overview": "Sender health",
    "campaigns": "search by name",
    "contacts": "search by address",
    "delivery": "Dead letters",
    "jobs": "search in titles",
    "logs": "words that a line must hold",
}


async def test_every_section_by_key_and_by_mouse(world: World) -> None:
    async with dashboard(world, size=(80, 24)) as driver:
        for place, section in enumerate(SECTIONS, 1):
            await driver.press(str(place))
            await driver.sees(SEEN[section])
        column = driver.lines()[1].index("2 Campaigns")
        await driver.pilot.click(offset=(column, 1))
        await driver.sees(SEEN["campaigns"])


async def test_the_palette_goes_anywhere_and_finds_campaigns(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    await world.launch(await world.draft(name="Winter [sale]"))
    async with dashboard(world) as driver:
        await driver.sees("Daemon")
        await driver.press("ctrl+p")
        await driver.sees("Go to delivery", "Kill switch")
        await driver.type("go to jobs")
        await driver.loses("Go to delivery")
        await driver.press("enter")
        await driver.sees(SEEN["jobs"])
        await driver.press("ctrl+p")
        await driver.type("winter")
        await driver.sees("Campaign Winter [sale]")
        await driver.press("enter")
        await driver.sees("Report", "Winter [sale]")
        await driver.press("ctrl+p")
        await driver.type("kill switch")
        await driver.loses("Go to delivery", "Keys")  # which the first letter finds too
        await driver.sees("Kill switch")
        await driver.press("enter")
        await driver.sees("Stop all sending at once?")
    async with world.db.read(INSTANCE) as tx:
        assert not (await kill_switch.state(tx, INSTANCE)).holds(world.scope.tenant_id)


async def test_help_names_every_key(world: World) -> None:
    async with dashboard(world, size=(90, 50)) as driver:
        await driver.press("question_mark")
        await driver.sees(*KEYS, "kill switch", "hold or follow")
        shown = {binding for keys in KEYS.values() for binding in " ".join(keys).replace(",", "").split()}
        assert {key for key in _bound() if len(key) == 1 and not key.isdigit()} <= shown
        await driver.press("question_mark")
        await driver.loses("hold or follow")


def _bound() -> set[str]:
    """The keys of the dashboard and of all its screens."""
    parts = (Dashboard, *_all_pages(Page))
    bindings = [binding for part in parts for binding in part.BINDINGS]
    return {binding.key for binding in bindings if isinstance(binding, Binding)}


def _all_pages(kind: type[Page]) -> list[type[Page]]:
    return [each for child in kind.__subclasses__() for each in (child, *_all_pages(child))]


async def test_light_and_dark(world: World) -> None:
    async with dashboard(world) as driver:
        await driver.sees("Daemon")
        dark = driver.app.export_screenshot()
        assert driver.app.current_theme.dark
        await driver.press("d")
        await driver.until(lambda: not driver.app.current_theme.dark, "light")
        light = driver.app.export_screenshot()
        assert "#f8fafc" in light.lower()
        assert "#f8fafc" not in dark.lower()


async def test_from_80_by_24_up(world: World) -> None:
    await world.people(1)
    await world.relay(2525)
    await world.launch(await world.draft(name="A name that is rather long for the column that it stands in"))
    async with dashboard(world, size=(80, 24)) as driver:
        await driver.press("2")
        await driver.sees("sending", "A name that is")
        assert "doubt" not in driver.screen
        assert "long for the column" not in driver.screen
        await driver.pilot.resize_terminal(140, 40)
        await driver.sees("doubt", "waiting", "A name that is rather long for the column")
        await driver.press("1")
        await driver.sees("Sender health")
        assert sum("waiting" in line and "accepted" in line for line in driver.lines()) == 1
        await driver.pilot.resize_terminal(80, 24)
        await driver.until(
            lambda: not any("waiting" in line and "failed" in line for line in driver.lines()), "two rows"
        )


async def test_a_covered_screen_asks_nothing_and_one_below_a_dialog_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Counter[str] = Counter()
    for screen in (CampaignsScreen, CampaignScreen):
        _count(screen, looks, monkeypatch)
    monkeypatch.setattr(Page, "look_seconds", 0.1)
    await world.people(1)
    await world.relay(2525)
    await world.launch(await world.draft())
    async with dashboard(world) as driver:
        await driver.press("2")
        await driver.sees("Spring", "search by name")
        await driver.press("enter")
        await driver.sees("News for")
        covered, above = looks["CampaignsScreen"], looks["CampaignScreen"]
        await driver.until(lambda: looks["CampaignScreen"] >= above + 5, "the one above asks")
        assert looks["CampaignsScreen"] == covered
        await driver.press("c")
        await driver.sees("End Spring for good?")
        above = looks["CampaignScreen"]
        await driver.until(
            lambda: looks["CampaignScreen"] >= above + 3, "what is seen around a dialog goes on"
        )


def _count(screen: type[Page], looks: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    look = screen.look

    async def counted(self: Page) -> None:
        looks[screen.__name__] += 1
        await look(self)

    monkeypatch.setattr(screen, "look", counted)
