"""The terminal dashboard, driven as a person drives it: keys in, what stands on the screen out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from mailengine.runtime import Runtime
from mailengine.tui.app import Dashboard
from mailengine.tui.source.source import open_source
from support.world import World


@dataclass
class Driver:
    """A dashboard that runs."""

    app: Dashboard
    pilot: Pilot[None]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if letter == " " else letter for letter in text))

    def lines(self) -> list[str]:
        """What stands on the screen; `export_screenshot` would give it too, at ten times the cost of each look."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def screen(self) -> str:
        return "\n".join(self.lines())

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self.pilot.pause(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what}\n{self.screen}") from None

    async def sees(self, *words: str) -> None:
        """Waits until all of them stand there."""
        await self.until(lambda: all(word in self.screen for word in words), f"sees {words}")

    async def loses(self, *words: str) -> None:
        """Waits until none of them stands there."""
        await self.until(lambda: not any(word in self.screen for word in words), f"loses {words}")


@asynccontextmanager
async def dashboard(
    world: World, *, size: tuple[int, int] = (100, 30), slug: str | None = None, folder: Path | None = None
) -> AsyncIterator[Driver]:
    """On a world's installation."""
    settings = world.settings if folder is None else world.settings.model_copy(update={"data_dir": folder})
    rt = Runtime(settings, world.db, world.clock, world.keyring)
    source = await open_source(rt, slug=slug)
    app = Dashboard(source)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Driver(app, pilot)
    finally:
        await source.desk.settled()
