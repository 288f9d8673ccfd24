"""The dashboard: its sections, the keys that work everywhere, and the beat that all screens share."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider

from mailengine.core.errors import MailengineError
from mailengine.tui.commands import CampaignNames, Places
from mailengine.tui.screens.campaigns import CampaignsScreen
from mailengine.tui.screens.contacts import ContactsScreen
from mailengine.tui.screens.delivery import DeliveryScreen
from mailengine.tui.screens.help import HelpScreen
from mailengine.tui.screens.jobs import JobsScreen
from mailengine.tui.screens.logs import LogsScreen
from mailengine.tui.screens.overview import OverviewScreen
from mailengine.tui.screens.page import Page
from mailengine.tui.source.source import Source
from mailengine.tui.themes import DARK, LIGHT
from mailengine.tui.widgets.dialogs import Choose
from mailengine.tui.widgets.top_bar import SECTIONS

_BEAT_SECONDS = 1.0
_SCREENS: dict[str, type[Page]] = {
    "overview": OverviewScreen,
    "campaigns": CampaignsScreen,
    "contacts": ContactsScreen,
    "delivery": DeliveryScreen,
    "jobs": JobsScreen,
    "logs": LogsScreen,
}


class Dashboard(App[None]):
    """Run it with `run_async`, on a source that stays open until it ends."""

    TITLE = "mailengine"
    CSS = """
    Facts, VerticalScroll { border-title-color: $foreground 80%; }
    Input > .input--placeholder { color: $text-muted; }
    LiveTable, DirectoryTree { background: $background; }
    """
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = App.COMMANDS | {
        Places,
        CampaignNames,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(place), f"go('{section}')", section.title(), show=False)
            for place, section in enumerate(SECTIONS, 1)
        ),
        Binding("k", "kill_switch", "Kill switch", show=False),
        Binding("o", "organisation", "Organisation", show=False),
        Binding("d", "turn_theme", "Light or dark", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, source: Source, *, light: bool = False) -> None:
        super().__init__()
        self.source = source
        self._beating = False
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = LIGHT.name if light else DARK.name
        for section in SECTIONS:
            self.add_mode(section, partial(_SCREENS[section], source))

    async def on_mount(self) -> None:
        await self.source.beat.look()
        self.set_interval(_BEAT_SECONDS, self._beat)
        await self.switch_mode("overview")

    def _beat(self) -> None:
        if not self._beating:
            self._beating = True
            self.run_worker(self._look())

    async def _look(self) -> None:
        try:
            await self.source.beat.look()
        finally:
            self._beating = False

    async def action_go(self, section: str) -> None:
        """Open a section, as it was left."""
        await self.switch_mode(section)

    async def action_kill_switch(self) -> None:
        await self.switch_mode("overview")
        await self.screen.run_action("kill_switch")

    async def action_import(self) -> None:
        await self.switch_mode("contacts")
        await self.screen.run_action("import")

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_turn_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_organisation(self) -> None:
        self.run_worker(self._choose_organisation())

    async def _choose_organisation(self) -> None:
        try:
            choices = await self.source.tenants()
            slug = await self.push_screen_wait(
                Choose("Look at which organisation?", [(each.slug, each.name) for each in choices])
            )
            if slug is None:
                return
            await self.source.switch(slug)
            await self.source.beat.look()
        except MailengineError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if isinstance(self.screen, Page):
            self.screen.follow_tenant()  # the others do when they are seen again
