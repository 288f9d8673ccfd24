"""The command palette: every section, every campaign by its name, and what can be done anywhere."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from mailengine.core.errors import MailengineError
from mailengine.core.terminal import one_line
from mailengine.tui.screens.campaign import CampaignScreen
from mailengine.tui.screens.page import Page
from mailengine.tui.widgets.top_bar import SECTIONS

_MOST_CAMPAIGNS = 8
_SCORE = 0.5  # the database matched it, in its own way


class Places(Provider):
    """Sections and acts."""

    async def discover(self) -> Hits:
        for words, action, said in self._all():
            yield DiscoveryHit(words, self._run(action), help=said)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for words, action, said in self._all():
            if (score := matcher.match(words)) > 0:
                yield Hit(score, matcher.highlight(words), self._run(action), help=said)

    def _all(self) -> Iterator[tuple[str, str, str]]:
        for section in SECTIONS:
            yield f"Go to {section}", f"app.go('{section}')", "open the section"
        yield "Kill switch", "app.kill_switch", "stop all sending at once, or let it go on"
        yield "Import contacts", "app.import", "a file of this machine, into a list"
        yield "Look at another organisation", "app.organisation", "where the installation has several"
        yield "Light or dark", "app.turn_theme", "change the colours"
        yield "Help", "app.help", "every key"

    def _run(self, action: str) -> Callable[[], Awaitable[bool]]:
        return partial(self.app.run_action, action)


class CampaignNames(Provider):
    """Campaigns by what their names hold."""

    async def search(self, query: str) -> Hits:
        page = self.screen
        if not isinstance(page, Page):
            return
        try:
            found = await page.source.campaigns.page(
                state=None, text=query, limit=_MOST_CAMPAIGNS, cursor=None
            )
        except MailengineError:  # the bar above says it
            return
        for row in found.rows:
            words = f"Campaign {one_line(row.name)}"
            opened = partial(self.app.push_screen, CampaignScreen(page.source, row.id))
            # Content takes it as it is; `matcher.highlight` would read markup out of the name.
            yield Hit(_SCORE, Content(words), opened, text=words, help=row.state)
