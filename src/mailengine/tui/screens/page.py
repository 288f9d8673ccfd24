"""What all screens do: ask the source anew while they are seen, say what went wrong, act when a key is pressed.

Invariants: a screen that is not seen asks nothing; it never asks twice at once, so that a slow database is not asked
faster than it answers; what it holds of the database ends with each question.
"""

from collections.abc import Awaitable, Coroutine
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Footer

from mailengine.core.errors import MailengineError, NotFound
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.dialogs import Confirm
from mailengine.tui.widgets.listing import Listing
from mailengine.tui.widgets.seen import is_seen
from mailengine.tui.widgets.text import Ink
from mailengine.tui.widgets.top_bar import TopBar


class Page(Screen[None]):
    """`body` is what it shows, `look` asks and shows; `section` is the part of the dashboard that it belongs to."""

    section: ClassVar[str]
    look_seconds: ClassVar[float] = 1.0

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self._tenant_id = source.desk.scope.tenant_id
        self._looking = self._asked_anew = False

    def compose(self) -> ComposeResult:
        yield TopBar(self.source.beat, self.section)
        yield from self.body()
        yield Footer(compact=True)

    def body(self) -> ComposeResult:
        raise NotImplementedError

    async def look(self) -> None:
        raise NotImplementedError

    @property
    def ink(self) -> Ink:
        return Ink(self.app.current_theme)

    def on_mount(self) -> None:
        self.set_interval(self.look_seconds, self.look_soon)

    def on_screen_resume(self) -> None:
        self.follow_tenant()
        self.look_soon()

    def on_listing_asked(self) -> None:
        self.look_again()

    def look_soon(self) -> None:
        """Unless nobody sees it, or it is asking already."""
        if is_seen(self) and not self._looking:
            self._looking = True
            self.run_worker(self._look())

    def look_again(self) -> None:
        """The question is another one now: also when one is under way."""
        self._asked_anew = self._looking
        self.look_soon()

    async def _look(self) -> None:
        bar = self.query_one(TopBar)
        try:
            while True:
                self._asked_anew = False
                await self.look()
                bar.trouble = ""
                if not self._asked_anew:
                    return
        except NoMatches:  # it was left while the database answered, and its parts are gone
            return
        except NotFound as error:
            self.gone(error)
        except MailengineError as error:
            bar.trouble = str(error)
        finally:
            self._looking = False

    def gone(self, error: NotFound) -> None:
        """What the screen is about is not there any more."""
        self.notify(str(error), severity="warning", markup=False)

    def do(self, doing: Coroutine[Any, Any, str]) -> None:
        """`act`, while keys go on to work: the write may have to wait for another one."""
        self.run_worker(self.act(doing))

    async def act(self, doing: Awaitable[str]) -> bool:
        """Do it and say so, or say what forbids it; whether it was done."""
        try:
            words = await doing
        except MailengineError as error:
            self.notify(str(error), severity="error", markup=False, timeout=8)
            return False
        self.notify(words, markup=False)
        self.look_again()
        return True

    async def sure(self, question: str, *, yes: str) -> bool:
        """Ask before something is lost."""
        answer = await self.app.push_screen_wait(Confirm(question, yes=yes))
        return answer is True

    def follow_tenant(self) -> None:
        """Start anew when another tenant is looked at than before."""
        if self._tenant_id != self.source.desk.scope.tenant_id:
            self._tenant_id = self.source.desk.scope.tenant_id
            self.start_anew()

    def start_anew(self) -> None:
        """What was searched for in the tenant before does not concern this one."""
        for listing in self.query(Listing):
            listing.start_anew()
        self.look_again()


class Detail(Page):
    """A screen that opens from a list and closes with Escape, or by itself when its subject is gone."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def action_leave(self) -> None:
        self.dismiss()

    def start_anew(self) -> None:
        """Its subject belongs to the tenant before."""
        self.close_if_seen()

    def gone(self, error: NotFound) -> None:
        super().gone(error)
        self.close_if_seen()

    def close_if_seen(self) -> None:
        """A dialog may be above it; then the next look closes it."""
        if self.app.screen is self:
            self.dismiss()
