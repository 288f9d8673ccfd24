"""One campaign: how far it is, what holds it, what became of it, opens and clicks over time."""

import time
from collections import deque
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import ProgressBar, Sparkline
from textual_plotext import PlotextPlot

from mailengine.core.ids import CampaignId
from mailengine.core.terminal import one_line
from mailengine.domain.campaigns.states import TRANSITIONS, WAITING
from mailengine.domain.reports.campaigns import Progress
from mailengine.domain.reports.progress import Followed
from mailengine.domain.reports.speed import Speeds
from mailengine.models import CampaignState
from mailengine.tui.screens.page import Detail
from mailengine.tui.screens.review import send_or_schedule
from mailengine.tui.source.campaigns import Report
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.figures import Facts, Figures, Words
from mailengine.tui.widgets.text import left, moment, plain, rate

_FIGURES = ("sent", "waiting", "failed", "skipped", "in doubt", "speed")
_REPORT_SECONDS = 5.0
_SAMPLES = 60
_MOST_LINES = 5  # of links and of causes


class CampaignScreen(Detail):
    section = "campaigns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "send", "Send"),
        Binding("u", "unschedule", "Unschedule"),
        Binding("p", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("c", "cancel", "Cancel it"),
    ]
    DEFAULT_CSS = """
    CampaignScreen VerticalScroll { height: 1fr; }
    CampaignScreen #title { height: auto; padding: 0 1; }
    CampaignScreen ProgressBar { width: 1fr; padding: 0 1; }
    CampaignScreen ProgressBar Bar { width: 1fr; }
    CampaignScreen #left { width: auto; padding: 0 1; }
    CampaignScreen Horizontal { height: auto; }
    CampaignScreen #held { height: auto; padding: 0 1; color: $warning; }
    CampaignScreen Sparkline { height: 2; margin: 0 1; }
    CampaignScreen Facts { width: 1fr; height: auto; padding: 0 1; border: round $foreground 30%; }
    CampaignScreen PlotextPlot { height: 12; margin: 0 1; }
    CampaignScreen #no-events { height: auto; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, source: Source, campaign_id: CampaignId) -> None:
        super().__init__(source)
        self._campaign_id = campaign_id
        self._speeds = Speeds()
        self._rates: deque[float] = deque(maxlen=_SAMPLES)
        self._report_asked = float("-inf")
        self._progress: Progress | None = None
        self._drawn: object = None

    def body(self) -> ComposeResult:
        with VerticalScroll():
            yield Words(id="title")
            with Horizontal(id="way"):
                yield ProgressBar(show_eta=False, id="progress")
                yield Words(id="left")
            yield Words(id="held")
            yield Figures(_FIGURES, id="figures")
            yield Sparkline([0.0] * _SAMPLES, id="speed")
            with Horizontal():
                yield Facts(id="report")
                yield Facts(id="failures")
            yield Facts(id="links")
            yield PlotextPlot(id="plot")
            yield Words(id="no-events")

    def on_mount(self) -> None:
        titles = {
            "report": "Report",
            "failures": "Failures by cause",
            "links": "Links that were clicked most",
        }
        for name, title in titles.items():
            self.query_one(f"#{name}").border_title = title

    async def look(self) -> None:
        self._show(await self.source.campaigns.follow(self._campaign_id))
        if time.monotonic() - self._report_asked >= _REPORT_SECONDS:
            self._report_asked = time.monotonic()
            self._show_report(await self.source.campaigns.report(self._campaign_id))

    def _show(self, found: Followed) -> None:
        row = self._speeds.of(found.progress, self.source.desk.now())
        if self._progress is None or self._progress.state != row.state:
            self._progress = row
            self.refresh_bindings()
        title = Text.assemble(
            (one_line(row.name), "bold"), "  ", self.ink.state(row.state), "\n", one_line(row.subject)
        )
        self.query_one("#title", Words).say(title)
        self.query_one("#way").display = row.state not in WAITING  # a bar without an end looks like work
        done = row.sent + row.failed + row.skipped + row.doubt
        self.query_one(ProgressBar).update(total=row.total or None, progress=done)
        self.query_one("#left", Words).say(Text(self._time_left(row, found)))
        held = list(found.held)
        if row.state == CampaignState.SENDING and not self.source.beat.condition.lives:
            held.append("no daemon runs; it is sent when `mailengine daemon` starts")
        if found.throttled is not None:
            held.append(str(found.throttled))
        self.query_one("#held", Words).say(Text("\n".join(one_line(words) for words in held)))
        sending = row.state == CampaignState.SENDING
        style = self.ink.style
        self.query_one(Figures).show(
            [
                (f"{row.sent:,}", style("success") if row.sent else ""),
                (f"{row.queued:,}", ""),
                (f"{row.failed:,}", style("error") if row.failed else ""),
                (f"{row.skipped:,}", style("warning") if row.skipped else ""),
                (f"{row.doubt:,}", style("error") if row.doubt else ""),
                (rate(row.rate), ""),
            ],
            quiet="dim",
        )
        sparkline = self.query_one("#speed", Sparkline)
        sparkline.display = sending
        if sending:
            self._rates.append(row.rate or 0.0)
            sparkline.data = [0.0] * (_SAMPLES - len(self._rates)) + list(self._rates)

    def _time_left(self, row: Progress, found: Followed) -> str:
        if row.state != CampaignState.SENDING:
            return ""
        if found.throttled is not None:
            return f"{left(found.throttled.remaining.total_seconds())} left"
        return f"{left(row.seconds_left)} left" if row.seconds_left is not None and not found.held else ""

    def _show_report(self, found: Report) -> None:
        report = found.report
        sent = report.progress.sent
        self.query_one("#report", Facts).show(
            {
                "recipients": Text("–" if report.progress.total is None else f"{report.progress.total:,}"),
                "opens": Text(_share(report.opens.unique, sent)),
                "clicks": Text(_share(report.clicks.unique, sent)),
                "unsubscribed": Text(f"{report.unsubscribes:,}"),
                "launched": Text(moment(report.progress.launched_at)),
                "finished": Text(moment(report.progress.finished_at)),
            }
        )
        failures = {
            one_line(each.cause): Text(
                f"{each.count:,}  {one_line(each.words)}", no_wrap=True, overflow="ellipsis"
            )
            for each in found.failures[:_MOST_LINES]
        }
        self.query_one("#failures", Facts).show(failures or {"none": Text("nothing failed")})
        links = self.query_one("#links", Facts)
        links.display = bool(report.top_links)
        links.show({f"{link.unique:,}": plain(link.url) for link in report.top_links[:_MOST_LINES]})
        self._plot(found)

    def _plot(self, found: Report) -> None:
        """Opens and clicks by the hour."""
        hours = found.report.by_hour
        plot, none = self.query_one(PlotextPlot), self.query_one("#no-events", Words)
        plot.display = bool(hours)
        none.say(Text("" if hours else "no open and no click yet"))
        if not hours or self._drawn == hours:
            return
        self._drawn = hours
        plot.plt.clear_data()
        places = [float(place) for place in range(len(hours))]
        plot.plt.bar(places, [hour.opens for hour in hours], label="opens", color="blue")
        plot.plt.scatter(places, [hour.clicks for hour in hours], label="clicks", color="orange")
        step = max(1, len(hours) // 6)
        plot.plt.xticks(places[::step], [f"{hour.at.astimezone():%d.%m. %H:00}" for hour in hours[::step]])
        plot.plt.title("opens and clicks by the hour")
        plot.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys for what its state allows."""
        state = CampaignState(self._progress.state) if self._progress is not None else None
        ways = TRANSITIONS[state] if state is not None else frozenset()
        allowed = {
            "send": state in WAITING,
            "unschedule": state == CampaignState.SCHEDULED,
            "pause": CampaignState.PAUSED in ways,
            "resume": state == CampaignState.PAUSED,
            "cancel": CampaignState.CANCELLED in ways,
        }
        return allowed.get(action, True)

    def action_send(self) -> None:
        self.run_worker(send_or_schedule(self, self._campaign_id))

    def action_unschedule(self) -> None:
        self.do(self.source.campaigns.unschedule(self._campaign_id))

    def action_pause(self) -> None:
        self.do(self.source.campaigns.pause(self._campaign_id))

    def action_resume(self) -> None:
        self.do(self.source.campaigns.resume(self._campaign_id))

    def action_cancel(self) -> None:
        self.run_worker(self._cancel())

    async def _cancel(self) -> None:
        name = self._progress.name if self._progress is not None else ""
        if await self.sure(f"End {name} for good? Who has not got it yet will not get it.", yes="End it"):
            await self.act(self.source.campaigns.cancel(self._campaign_id))


def _share(people: int, sent: int) -> str:
    return f"{people:,} of {sent:,}: {people / sent:.1%}" if sent else f"{people:,}"
