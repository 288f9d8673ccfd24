"""Long work: imports, exports, bulk acts; what runs, how far it is, what went wrong."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, ProgressBar

from mailengine.core.ids import JobId
from mailengine.core.terminal import one_line
from mailengine.models import Job, JobState
from mailengine.tui.screens.page import Detail, Page
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.figures import Facts, Words
from mailengine.tui.widgets.listing import PAGE_ROWS, Found, Listing, Query
from mailengine.tui.widgets.live_table import Column
from mailengine.tui.widgets.text import bar, moment, number, plain

_COLUMNS = (
    Column("id", "id", 6, right=True),
    Column("kind", "kind", 13),
    Column("title", "what"),
    Column("state", "state", 9),
    Column("progress", "progress", 16),
    Column("done", "done", 10, room=90, right=True),
    Column("created", "asked at", 16, room=120),
)
_OPEN = (JobState.QUEUED, JobState.RUNNING)


class JobsScreen(Page):
    section = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "cancel", "Cancel it")]

    def body(self) -> ComposeResult:
        yield Listing(
            _COLUMNS,
            self._fetch,
            states=list(JobState),
            search="search in titles",
            empty="no job yet; an import is one (3, then i)",
            id="jobs",
        )

    def on_mount(self) -> None:
        self.query_one(Listing).table.focus()

    async def look(self) -> None:
        await self.query_one(Listing).look()

    async def _fetch(self, query: Query) -> Found:
        state = JobState(query.state) if query.state else None
        page = await self.source.jobs.page(state=state, text=query.text, limit=PAGE_ROWS, cursor=query.cursor)
        cells = {
            str(row.id): (
                Text(str(row.id), justify="right"),
                plain(row.kind),
                plain(row.title),
                self.ink.state(row.state),
                bar(row.done, row.total),
                number(row.done),
                Text(moment(row.created_at)),
            )
            for row in page.items
        }
        return Found(cells, page.total, page.next, page.previous)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value is not None:
            self.app.push_screen(JobScreen(self.source, JobId(int(event.row_key.value))))

    def action_cancel(self) -> None:
        if (key := self.query_one(Listing).chosen) is not None:
            self.run_worker(self._cancel(JobId(int(key))))

    async def _cancel(self, job_id: JobId) -> None:
        if await self.sure(f"Stop job {job_id} after the batch it is at? What it did stays.", yes="Stop it"):
            await self.act(self.source.jobs.cancel(job_id))


class JobScreen(Detail):
    """One job with what came of it."""

    section = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "cancel", "Cancel it")]
    DEFAULT_CSS = """
    JobScreen #title { height: auto; padding: 0 1; }
    JobScreen ProgressBar { width: 1fr; padding: 0 1; }
    JobScreen ProgressBar Bar { width: 1fr; }
    JobScreen Facts { height: auto; padding: 0 1; border: round $foreground 30%; }
    """

    def __init__(self, source: Source, job_id: JobId) -> None:
        super().__init__(source)
        self._job_id = job_id
        self._state = ""

    def body(self) -> ComposeResult:
        with VerticalScroll():
            yield Words(id="title")
            yield ProgressBar(show_eta=False)
            yield Facts(id="facts")
            yield Facts(id="result")

    def on_mount(self) -> None:
        self.query_one("#result").border_title = "Result"

    async def look(self) -> None:
        job = await self.source.jobs.get(self._job_id)
        if job.state != self._state:
            self._state = job.state
            self.refresh_bindings()
        self.query_one("#title", Words).say(
            Text.assemble((one_line(job.title), "bold"), "  ", self.ink.state(job.state))
        )
        self.query_one(ProgressBar).update(total=job.total or None, progress=job.done)
        self.query_one("#facts", Facts).show(
            {
                "job": Text(f"{job.id}, {job.kind}"),
                "done": Text(f"{job.done:,}" + (f" of {job.total:,}" if job.total is not None else "")),
                "error": Text(one_line(job.error), style=self.ink.style("error")),
                "asked at": Text(moment(job.created_at)),
                "started": Text(moment(job.started_at)),
                "ended": Text(moment(job.finished_at)),
            }
        )
        result = self.query_one("#result", Facts)
        counts = _counts(job)
        result.display = bool(counts)
        result.show(counts)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._state in _OPEN if action == "cancel" else True

    def action_cancel(self) -> None:
        self.run_worker(self._cancel())

    async def _cancel(self) -> None:
        if await self.sure(
            f"Stop job {self._job_id} after the batch it is at? What it did stays.", yes="Stop it"
        ):
            await self.act(self.source.jobs.cancel(self._job_id))


def _counts(job: Job) -> dict[str, Text]:
    """The numbers of a result; what else a job holds is for the job itself."""
    held = job.result.get("counts", job.result)
    if not isinstance(held, dict):
        return {}
    numbers = {str(name): value for name, value in held.items() if isinstance(value, int) and value}
    return {name.replace("_", " "): Text(f"{value:,}") for name, value in numbers.items()}
