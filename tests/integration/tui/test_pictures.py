"""What stands on each screen, cell by cell, at the smallest size and at a comfortable one.

`MAILENGINE_DRAW=1 pytest tests/integration/tui/test_pictures.py` draws the files anew; look at their difference then.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailengine.db.tenancy import table_of
from mailengine.models import Campaign
from support.dashboard import Driver, dashboard
from support.world import World

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "pictures"


@pytest.fixture(autouse=True)
def _everywhere_the_same_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in the terminal's zone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@dataclass
class Album:
    driver: Driver
    size: tuple[int, int]

    async def holds(self, name: str, *words: str) -> None:
        """The screen, as soon as the words are on it, is the picture of that name."""
        await self.driver.sees(*words)
        path = FOLDER / f"{name}-{self.size[0]}x{self.size[1]}.txt"
        if os.environ.get("MAILENGINE_DRAW"):
            await self.driver.pilot.pause(1.5)
            path.write_text(self.driver.screen.rstrip() + "\n")
        expected = path.read_text().rstrip()
        await self.driver.until(lambda: self.driver.screen.rstrip() == expected, f"stands as in {path.name}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_the_screens(world: World, size: tuple[int, int]) -> None:
    await world.people(3)
    await world.relay(2525)
    await world.launch(await world.draft())
    await world.draft(name="Summer")
    await _summer_was_missed(world)
    async with dashboard(world, size=size) as driver:
        album = Album(driver, size)
        await album.holds("overview", "Spring", "too few for rates")
        await driver.press("2")
        await album.holds("campaigns", "Summer", "draft")
        await driver.press("s")
        await album.holds("review", "Send Summer?", "3 recipients")
        await driver.press("l")
        await album.holds("when", "When is Summer sent?")
        await driver.press("escape", "enter")
        await album.holds(
            "campaign", "it was not sent at its time", "no open and no click yet", "nothing failed"
        )
        await driver.press("escape", "3")
        await album.holds("contacts", "u0@example.org")
        await driver.press("enter")
        await album.holds("contact", "added", "Customers (subscribed)")
        await driver.press("escape", "4")
        await album.holds("delivery", "127.0.0.1:2525")
        await driver.press("5")
        await album.holds("jobs", "Recipients of Spring")
        await driver.press("question_mark")
        await album.holds("help", "Everywhere")


def test_the_docs_show_a_screen_as_it_is() -> None:
    page = Path(__file__).parents[3] / "docs" / "terminal.md"
    (shown,) = re.findall(r"^```text\n(.*?)\n```$", page.read_text(), re.M | re.S)
    assert shown == (FOLDER / "overview-80x24.txt").read_text().rstrip()


async def _summer_was_missed(world: World) -> None:
    campaigns = table_of(Campaign)
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(campaigns)
            .where(campaigns.c.tenant_id == world.scope.tenant_id, campaigns.c.name == "Summer")
            .values(schedule_faults=["nothing was running at that time, and it is too late for it now"])
        )
