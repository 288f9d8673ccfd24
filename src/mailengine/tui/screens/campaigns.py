"""All campaigns, newest first."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from mailengine.core.ids import CampaignId
from mailengine.domain.reports.speed import Speeds
from mailengine.models import CampaignState
from mailengine.tui.screens.campaign import CampaignScreen
from mailengine.tui.screens.page import Page
from mailengine.tui.screens.review import send_or_schedule
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.listing import PAGE_ROWS, Found, Listing, Query
from mailengine.tui.widgets.live_table import Column
from mailengine.tui.widgets.text import bar, left, number, plain, rate

_COLUMNS = (
    Column("name", "name"),
    Column("state", "state", 9),
    Column("progress", "progress", 16),
    Column("sent", "sent", 10, right=True),
    Column("queued", "waiting", 10, room=90, right=True),
    Column("failed", "failed", 7, room=70, right=True),
    Column("doubt", "doubt", 5, room=110, right=True),
    Column("rate", "rate", 8, room=76, right=True),
    Column("left", "left", 9, room=100, right=True),
)


class CampaignsScreen(Page):
    section = "campaigns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "send", "Send"),
        Binding("u", "unschedule", "Unschedule", show=False),
        Binding("p", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("c", "cancel", "Cancel it"),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._speeds = Speeds()
        self._names: dict[str, str] = {}

    def body(self) -> ComposeResult:
        yield Listing(
            _COLUMNS,
            self._fetch,
            states=list(CampaignState),
            search="search by name",
            empty="no campaign yet; `mailengine campaign create` makes one, and the web UI too",
            id="campaigns",
        )

    def on_mount(self) -> None:
        self.query_one(Listing).table.focus()

    async def look(self) -> None:
        await self.query_one(Listing).look()

    async def _fetch(self, query: Query) -> Found:
        state = CampaignState(query.state) if query.state else None
        page = await self.source.campaigns.page(
            state=state, text=query.text, limit=PAGE_ROWS, cursor=query.cursor
        )
        now = self.source.desk.now()
        rows = [self._speeds.of(row, now) for row in page.rows]
        self._names = {str(row.id): row.name for row in rows}
        cells = {
            str(row.id): (
                plain(row.name),
                self.ink.state(row.state),
                bar(row.sent + row.failed + row.skipped + row.doubt, row.total),
                number(row.sent),
                number(row.queued),
                self.ink.bad(row.failed),
                self.ink.bad(row.doubt),
                Text(rate(row.rate) if row.state == CampaignState.SENDING else "–", justify="right"),
                Text(left(row.seconds_left), justify="right"),
            )
            for row in rows
        }
        return Found(cells, page.total, page.next, page.previous)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value is not None:
            self.app.push_screen(CampaignScreen(self.source, CampaignId(int(event.row_key.value))))

    def action_send(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.run_worker(send_or_schedule(self, chosen))

    def action_unschedule(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.do(self.source.campaigns.unschedule(chosen))

    def action_pause(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.do(self.source.campaigns.pause(chosen))

    def action_resume(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.do(self.source.campaigns.resume(chosen))

    def action_cancel(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.run_worker(self._cancel(chosen))

    async def _cancel(self, campaign_id: CampaignId) -> None:
        name = self._names.get(str(campaign_id), "")
        if await self.sure(f"End {name} for good? Who has not got it yet will not get it.", yes="End it"):
            await self.act(self.source.campaigns.cancel(campaign_id))

    def _chosen(self) -> CampaignId | None:
        key = self.query_one(Listing).chosen
        return None if key is None else CampaignId(int(key))
