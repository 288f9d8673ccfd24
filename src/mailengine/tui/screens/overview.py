"""How everything stands: queue, speed, outcomes, Sender Health, who works, what is under way."""

import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DataTable, Sparkline

from mailengine.core.ids import CampaignId
from mailengine.core.wording import counted
from mailengine.domain.reports.health import Health
from mailengine.domain.reports.speed import Speeds
from mailengine.tui.screens.campaign import CampaignScreen
from mailengine.tui.screens.page import Page
from mailengine.tui.source.beat import SAMPLES, Condition
from mailengine.tui.source.overview import MOST_DEFERRED, Standing
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.dialogs import Ask, Choose
from mailengine.tui.widgets.figures import Facts, Figures, Words
from mailengine.tui.widgets.live_table import Column, LiveTable
from mailengine.tui.widgets.text import Ink, bar, left, moment, number, percent, plain, rate

_FIGURES = ("waiting", "now", "accepted", "deferred", "failed", "in doubt")
_COLUMNS = (
    Column("name", "campaign"),
    Column("state", "state", 9),
    Column("progress", "progress", 16),
    Column("sent", "sent", 10, room=90, right=True),
    Column("rate", "rate", 8, room=60, right=True),
    Column("left", "left", 9, room=70, right=True),
)
_HEALTH_SECONDS = 60.0


class OverviewScreen(Page):
    section = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("k", "kill_switch", "Kill switch")]
    DEFAULT_CSS = """
    OverviewScreen VerticalScroll { height: 1fr; }
    OverviewScreen Sparkline { height: 3; margin: 0 1; }
    OverviewScreen #sparkline-words { padding: 0 1; color: $text-muted; height: 1; }
    OverviewScreen Horizontal { height: auto; }
    OverviewScreen Facts { width: 1fr; height: 8; padding: 0 1; border: round $foreground 30%; }
    OverviewScreen LiveTable { height: 1fr; min-height: 4; }
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._speeds = Speeds()
        self._health: Health | None = None
        self._health_asked = float("-inf")

    def body(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Figures(_FIGURES, id="figures")
            yield Words(id="sparkline-words")
            yield Sparkline([0.0], id="sparkline")
            with Horizontal():
                yield Facts(id="works")
                yield Facts(id="health")
            yield LiveTable(_COLUMNS, id="recent")

    def on_mount(self) -> None:
        self.query_one("#works").border_title = "Daemon"
        self.query_one("#health").border_title = "Sender health, 30 days"
        self.query_one("#recent").focus()

    async def look(self) -> None:
        self._show(await self.source.overview.standing())
        if time.monotonic() - self._health_asked >= _HEALTH_SECONDS:
            self._health_asked = time.monotonic()
            self._health = await self.source.overview.health()
        if self._health is not None:
            self.query_one("#health", Facts).show(self._of_health(self._health))

    def start_anew(self) -> None:
        self._health_asked = float("-inf")
        super().start_anew()

    def _show(self, found: Standing) -> None:
        beat, style = self.source.beat, self.ink.style
        totals, queue = found.totals, found.queue
        waiting = queue.campaign_messages + queue.transactional_messages
        more = "+" if found.deferred >= MOST_DEFERRED else ""
        self.query_one(Figures).show(
            [
                (f"{waiting:,}", style("primary")),
                (rate(beat.rate), style("success") if beat.rate else ""),
                (f"{totals.sent:,}", ""),
                (f"{found.deferred:,}{more}", style("warning") if found.deferred else ""),
                (f"{totals.failed:,}", style("error") if totals.failed else ""),
                (f"{totals.doubt:,}", style("error") if totals.doubt else ""),
            ],
            quiet="dim",
        )
        rates = list(beat.rates)
        most = max(rates, default=0.0)
        self.query_one("#sparkline-words", Words).say(
            Text(f"messages a second, the last {SAMPLES // 60} minutes; most {most:,.0f}")
        )
        self._draw(rates)
        self.query_one("#works", Facts).show(self._of_daemon(beat.condition, found))
        now = self.source.desk.now()
        rows = [self._speeds.of(row, now) for row in found.recent]
        self.query_one("#recent", LiveTable).show(
            {
                str(row.id): (
                    plain(row.name),
                    self.ink.state(row.state),
                    bar(row.sent + row.failed + row.skipped + row.doubt, row.total),
                    number(row.sent),
                    Text(rate(row.rate) if row.state == "sending" else "–", justify="right"),
                    Text(left(row.seconds_left), justify="right"),
                )
                for row in rows
            }
        )

    def _draw(self, rates: list[float]) -> None:
        sparkline = self.query_one(Sparkline)
        wanted = [0.0] * (SAMPLES - len(rates)) + rates
        if sparkline.data != wanted:
            sparkline.data = wanted

    def _of_daemon(self, condition: Condition, found: Standing) -> dict[str, Text]:
        style, queue = self.ink.style, found.queue
        serving = condition.serving
        running = sum(count for (_kind, state), count in queue.jobs.items() if state == "running")
        jobs = sum(queue.jobs.values())
        switch = condition.switch
        machines = "on " + counted(condition.machines, "machine", "machines")
        return {
            "pages": Text(serving.url if serving else "none on this machine"),
            "scheduler": _runs("runs" if condition.scheduler else "", self.ink),
            "workers": _runs(machines if condition.machines else "", self.ink),
            "oldest": Text(
                f"waits since {left(queue.oldest_due_seconds)}" if queue.oldest_due_seconds > 1 else "–"
            ),
            "jobs": Text(f"{running} of {jobs} run" if jobs else "–"),
            "switch": Text("off")
            if switch is None
            else Text(f"ON since {moment(switch.set_at)}", style=f"bold {style('error')}"),
        }

    def _of_health(self, found: Health) -> dict[str, Text]:
        def lit(value: str, light: str | None) -> Text:
            mark = Text("● ", style=self.ink.state(light or "").style)
            return mark.append(value, style=self.ink.style("")) if light else Text(f"○ {value}")

        return {
            "bounces": lit(percent(found.bounces), found.bounce_light),
            "complaints": lit(percent(found.complaints), found.complaint_light),
            "opens": lit(percent(found.opens), found.open_light),
            "domains": lit(f"{found.verified} of {found.domains} verified", found.domain_light),
            "sent": Text(f"{found.sent:,}" + ("" if found.bounces is not None else ": too few for rates")),
        }

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        key = event.row_key.value
        if key is not None:
            self.app.push_screen(CampaignScreen(self.source, CampaignId(int(key))))

    def action_kill_switch(self) -> None:
        """Stop all sending, or let it go on."""
        self.run_worker(self._switch())

    async def _switch(self) -> None:
        held = self.source.beat.condition
        if held.switch is not None:
            whose = "the whole installation" if held.of_all else self.source.desk.tenant
            if await self.sure(f"Let {whose} send again?", yes="Send"):
                await self.act(self._turn_off(everybody=held.of_all))
            return
        extent = await self.app.push_screen_wait(
            Choose(
                "Stop all sending at once? What is on the wire is finished, nothing more goes out.",
                [("tenant", f"of {self.source.desk.tenant}"), ("all", "of the whole installation")],
            )
        )
        if extent is None:
            return
        reason = await self.app.push_screen_wait(
            Ask("Why? Everybody who wonders reads it. Enter stops, Escape leaves.", required=False)
        )
        if reason is not None:
            await self.act(self._turn_on(reason, everybody=extent == "all"))

    async def _turn_on(self, reason: str, *, everybody: bool) -> str:
        await self.source.overview.stop_all(reason, everybody=everybody)
        await self.source.beat.look()
        return "all sending is stopped"

    async def _turn_off(self, *, everybody: bool) -> str:
        await self.source.overview.go_on(everybody=everybody)
        await self.source.beat.look()
        return "sending goes on"


def _runs(words: str, ink: Ink) -> Text:
    """How something runs; no words when it does not."""
    return Text(words, style=ink.style("success")) if words else Text("none runs", style=ink.style("warning"))
