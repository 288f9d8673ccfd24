"""Importing a file of this machine: pick it, see what its columns become, say which list, watch it go."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Button, DirectoryTree, Input, ProgressBar

from mailengine.core.errors import MailengineError
from mailengine.core.terminal import one_line
from mailengine.core.wording import counted
from mailengine.domain.contacts.imports.report import ImportProgress, ImportReport
from mailengine.tui.screens.page import Detail
from mailengine.tui.source.imports import ENDINGS
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.figures import Words
from mailengine.tui.widgets.live_table import Column, LiveTable
from mailengine.tui.widgets.text import listed, plain

_COLUMNS = (
    Column("header", "column", 16),
    Column("target", "becomes", 14),
    Column("examples", "for example"),
)


class Files(DirectoryTree):
    """Folders, and files that can be imported."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return [path for path in paths if not path.name.startswith(".") and _offered(path)]


def _offered(path: Path) -> bool:
    try:
        return path.is_dir() or path.suffix.lower() in ENDINGS
    except OSError:
        return False


class ImportScreen(Detail):
    section = "contacts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back or cancel"),
        Binding("ctrl+s", "start", "Start"),
    ]
    DEFAULT_CSS = """
    ImportScreen #fields { height: 3; }
    ImportScreen #path { width: 2fr; }
    ImportScreen #list { width: 1fr; }
    ImportScreen Button { width: auto; }
    ImportScreen #said { height: auto; padding: 0 1; }
    ImportScreen ProgressBar { padding: 0 1; width: 1fr; display: none; }
    ImportScreen ProgressBar Bar { width: 1fr; }
    ImportScreen.-running ProgressBar { display: block; }
    ImportScreen Files { width: 1fr; height: 1fr; }
    ImportScreen #columns { width: 2fr; height: 1fr; }
    """

    def __init__(self, source: Source, folder: Path | None = None) -> None:
        super().__init__(source)
        self._folder = folder or Path.cwd()
        self._importing = self._stop = False

    def body(self) -> ComposeResult:
        with Horizontal(id="fields"):
            yield Input(placeholder="file: CSV, TSV, XLSX, ODS or ZIP", id="path")
            yield Input(placeholder="list that they join", id="list")
            yield Button("Import", variant="primary", id="start")
        yield Words(id="said")
        yield ProgressBar(show_eta=False)
        with Horizontal():
            yield Files(self._folder)
            with Vertical():
                yield LiveTable(_COLUMNS, id="columns")

    def on_mount(self) -> None:
        self.query_one(Files).focus()
        self.run_worker(self._suggest_lists())

    async def _suggest_lists(self) -> None:
        try:
            names = await self.source.imports.lists()
        except MailengineError as error:
            self._say(str(error), bad=True)
            return
        field = self.query_one("#list", Input)
        field.suggester = SuggestFromList(names, case_sensitive=False)
        if len(names) == 1 and not field.value:
            field.value = names[0]

    async def look(self) -> None:
        """Nothing changes here by itself."""

    def start_anew(self) -> None:
        if not self._importing:  # else it goes on in the tenant that it began in
            self.close_if_seen()

    @on(DirectoryTree.FileSelected)
    def _picked(self, event: DirectoryTree.FileSelected) -> None:
        self.query_one("#path", Input).value = str(event.path)
        self._see(event.path)

    @on(Input.Submitted, "#path")
    def _typed(self, event: Input.Submitted) -> None:
        self._see(Path(event.value).expanduser())

    @on(Input.Submitted, "#list")
    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Begin, where a file and a list were given."""
        path, name = (self.query_one(f"#{field}", Input).value.strip() for field in ("path", "list"))
        if self._importing:
            return
        if not path or not name:
            self._say("give the file and the list that they join", bad=True)
            return
        self._importing, self._stop = True, False
        self.add_class("-running")
        self.run_worker(self._run(Path(path).expanduser(), name))

    def _see(self, path: Path) -> None:
        self.run_worker(self._preview(path), group="preview", exclusive=True)

    async def _preview(self, path: Path) -> None:
        self.query_one(LiveTable).show({})
        try:
            found = await self.source.imports.preview(path)
        except (MailengineError, OSError) as error:
            self._say(_words(error), bad=True)
            return
        if not self.is_attached:
            return
        self._show_columns(found["columns"])
        self._say(f"{found['format'] or 'text'} · {found['encoding']} · about {_rows(found['lines'])}")
        self.query_one("#list", Input).focus()

    def _show_columns(self, columns: list[dict[str, Any]]) -> None:
        self.query_one(LiveTable).show(
            {
                str(number): (plain(each["header"]), plain(each["target"]), plain(listed(each["examples"])))
                for number, each in enumerate(columns)
            }
        )

    async def _run(self, path: Path, name: str) -> None:
        try:
            report = await self.source.imports.run(
                path, name, progress=self._progressed, cancelled=lambda: self._stop
            )
        except (MailengineError, OSError) as error:
            self._say(_words(error), bad=True)
        else:
            self._end(report)
        finally:
            self._importing = False
            self.remove_class("-running")

    def on_unmount(self) -> None:
        self._stop = True  # the dashboard ends; the import after its batch

    def _progressed(self, made: ImportProgress) -> None:
        if self._stop:  # nobody looks any more
            return
        self.query_one(ProgressBar).update(total=made.bytes_total or None, progress=made.bytes_done)
        counts = made.counts
        self._say(
            f"{_rows(counts.rows)} · {counts.created:,} new · {counts.rejected:,} rejected · Escape cancels"
        )

    def _end(self, report: ImportReport) -> None:
        counts = report.counts
        words = (
            f"{report.state}: {_rows(counts.rows)}, {counts.created:,} new, {counts.updated:,} updated, "
            f"{counts.duplicates:,} double, {counts.rejected:,} rejected"
        )
        if counts.rejected and report.errors_file is not None:
            words += f"; why: {report.errors_file}"
        if report.state == "cancelled":
            words += f"; `mailengine jobs resume {report.job}` goes on"
        self._say(words, bad=bool(counts.rejected))
        self.notify(words, markup=False)

    def _say(self, words: str, *, bad: bool = False) -> None:
        if not self.is_attached:  # it was left meanwhile
            return
        style = self.ink.style("warning") if bad else ""
        self.query_one("#said", Words).say(Text(one_line(words), style=style))

    def action_leave(self) -> None:
        """Out; while it runs, ask whether it is to end."""
        if self._importing:
            self.run_worker(self._cancel())
        else:
            self.dismiss()

    async def _cancel(self) -> None:
        if await self.sure(
            "Cancel the import? What is stored stays, and it can be resumed.", yes="Cancel it"
        ):
            self._stop = True


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the file cannot be read: {error.strerror or error}"
    return str(error)


def _rows(number: int) -> str:
    return counted(number, "row", "rows")
