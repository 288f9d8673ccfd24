"""Before a send: who gets what from whom, the checklist, and the question whether it goes out, now or later.

Errors block, warnings are passed over knowingly, and the way out has the focus.
"""

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button

from mailengine.core.errors import MailengineError
from mailengine.core.ids import CampaignId
from mailengine.core.terminal import one_line
from mailengine.core.zones import zone_of
from mailengine.domain.campaigns.checklist import Item
from mailengine.models import CampaignState
from mailengine.tui.screens.page import Page
from mailengine.tui.source.campaigns import Review
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.dialogs import Ask, Dialog
from mailengine.tui.widgets.figures import Facts, Words
from mailengine.tui.widgets.text import Ink, plain

# What matters is first.
_MARKS = {"error": ("✗", "error"), "warning": ("!", "warning"), "ok": ("✓", "success")}


@dataclass(frozen=True, slots=True)
class Decision:
    """To send what was read."""

    read: Review
    later: bool


class ReviewScreen(Dialog[Decision]):
    """Opens at once and asks then: counting a large audience takes a moment."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "now", "Send"),
        Binding("l", "later", "Later"),
        Binding("n", "leave", "No"),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]
    DEFAULT_CSS = """
    ReviewScreen > Vertical { width: 84; max-height: 100%; padding: 0 1; }
    ReviewScreen Words { height: auto; }
    ReviewScreen #facts { text-wrap: nowrap; text-overflow: ellipsis; }
    ReviewScreen VerticalScroll { height: auto; max-height: 40vh; margin: 1 0; }
    """

    def __init__(self, source: Source, campaign_id: CampaignId) -> None:
        super().__init__()
        self._source, self._campaign_id = source, campaign_id
        self._read: Review | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Words(id="title")
            yield Facts(id="facts")
            with VerticalScroll(can_focus=False):
                yield Words(id="checklist")
            with Horizontal():
                yield Button("Cancel (n)", id="leave")
                yield Button("Later … (l)", id="later", disabled=True)
                yield Button("Send now (y)", variant="warning", id="now", disabled=True)

    def on_mount(self) -> None:
        self.query_one("#title", Words).say(Text("The checklist is gone through …", style="dim"))
        self.query_one("#leave", Button).focus()
        self.run_worker(self._ask())

    async def _ask(self) -> None:
        try:
            read = await self._source.campaigns.review(self._campaign_id)
        except MailengineError as error:
            self.notify(str(error), severity="error", markup=False, timeout=8)
            self.action_leave()
            return
        if self.is_attached:
            self._show(read)

    def _show(self, read: Review) -> None:
        self._read = read
        ink, campaign = Ink(self.app.current_theme), read.campaign
        question = f"{campaign.name} cannot be sent yet" if read.blocked else f"Send {campaign.name}?"
        self.query_one("#title", Words).say(Text(one_line(question), style="bold"))
        self.query_one("#facts", Facts).show(_facts(read))
        worst_first = sorted(read.items, key=lambda item: list(_MARKS).index(item.level))
        lines = [_line(item, ink) for item in worst_first]
        self.query_one("#checklist", Words).say(Text("\n").join(lines))
        now, later = self.query_one("#now", Button), self.query_one("#later", Button)
        now.disabled = later.disabled = read.blocked
        if read.warnings:
            now.label = "Send all the same (y)"
            now.refresh(layout=True)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action not in ("now", "later") or (self._read is not None and not self._read.blocked)

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_now(self) -> None:
        self._decide(later=False)

    def action_later(self) -> None:
        self._decide(later=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        getattr(self, f"action_{event.button.id}")()

    def _decide(self, *, later: bool) -> None:
        if self._read is not None:
            self.dismiss(Decision(self._read, later))


async def send_or_schedule(page: Page, campaign_id: CampaignId) -> None:
    """Ask with the checklist before one, and do what was said."""
    decision = await page.app.push_screen_wait(ReviewScreen(page.source, campaign_id))
    if decision is None:
        return
    campaigns, read = page.source.campaigns, decision.read
    if not decision.later:
        done = await page.act(campaigns.send(read))
        if done and not page.source.beat.condition.lives:
            page.notify("no daemon runs; it is sent when `mailengine daemon` starts", severity="warning")
        return
    written = _local(read)
    while True:  # a time that was typed wrong is asked for again, as it was typed
        question = f"When is {read.campaign.name} sent? In {read.zone}."
        at = await page.app.push_screen_wait(
            Ask(question, placeholder="like 2026-12-31 09:00", value=written)
        )
        if at is None or await page.act(campaigns.schedule(read, at)):
            return
        written = at


def _facts(read: Review) -> dict[str, Text]:
    campaign, names = read.campaign, read.names
    left_out = ", ".join([*names.excluded_lists, *names.excluded_segments])
    sender = f"{campaign.from_name} <{campaign.from_email}>" if campaign.from_name else campaign.from_email
    return {
        "subject": plain(campaign.subject),
        "from": plain(sender),
        "to": plain(", ".join([*names.lists, *names.segments])),
        "but not": plain(left_out),
        "template": plain(names.template),
        "waits for": plain(f"{when} {read.zone}" if (when := _local(read)) else ""),
    }


def _local(read: Review) -> str:
    """The time that it waits for, as one would write it."""
    at = read.campaign.scheduled_at
    if at is None or read.campaign.state != CampaignState.SCHEDULED:
        return ""
    return f"{at.astimezone(zone_of(read.zone)):%Y-%m-%d %H:%M}"


def _line(item: Item, ink: Ink) -> Text:
    mark, style = _MARKS[item.level]
    return Text.assemble((f"{mark} ", f"bold {ink.style(style)}"), one_line(item.message))
