"""What the demo looks like: steps and progress on stderr, the report on stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from mailengine.cli.demo.proof import Proof
from mailengine.domain.reports.campaigns import CampaignReport

_BAR_CELLS = 28
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LABEL_CELLS = 14


class Stage:
    """Steps as they happen, for the person who watches."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    def title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text.assemble("  ", (text, "bold")))
        self.console.print()

    def step(self, label: str, said: str, *, good: bool = True) -> None:
        mark = ("✓", "green") if good else ("✗", "bold red")
        line = Table.grid(padding=(0, 1))
        line.add_column(width=1)
        line.add_column(width=_LABEL_CELLS)
        line.add_column(overflow="fold")
        line.add_row(Text(*mark), Text(label, "bold"), Text(said))
        self.console.print(Padding(line, (0, 0, 0, 2)))

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator["Bar"]:
        """A bar while the block runs; it is gone afterwards, a step says what came out."""
        columns = (
            TextColumn(" "),
            SpinnerColumn(style="cyan"),
            TextColumn(f"[bold]{label:{_LABEL_CELLS}}"),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
        )
        watched = self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=not watched) as progress:
            yield Bar(progress, progress.add_task(label, total=total))


class Bar:
    """A progress bar that is running."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self) -> None:
        self._progress.advance(self._task)

    def move(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)


class _Rate(ProgressColumn):
    """How many a second, over the last moments."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s".rjust(8), style="cyan")


def report(found: CampaignReport) -> None:
    """The campaign's report on stdout."""
    progress = found.progress
    console = Console(file=sys.stdout, highlight=False)
    people = Table.grid(padding=(0, 2))
    people.add_column(width=_LABEL_CELLS)
    people.add_column(justify="right")
    people.add_column(width=_BAR_CELLS)
    people.add_column(justify="right", style="dim")
    for label, number, colour in (
        ("Sent", progress.sent, "green"),
        ("Opened", found.opens.unique, "cyan"),
        ("Clicked", found.clicks.unique, "blue"),
        ("Unsubscribed", found.unsubscribes, "yellow"),
        ("Failed", progress.failed, "red"),
        ("In doubt", progress.doubt, "red"),
    ):
        share = number / progress.sent if progress.sent else 0.0
        people.add_row(label, f"{number:,}", Text(bar(share), colour), f"{share:.0%}")
    console.print()
    console.print(Text.assemble("  ", (progress.name, "bold"), f"  {progress.state}"))
    console.print()
    console.print(Padding(people, (0, 0, 0, 2)))
    if found.top_links:
        console.print()
        console.print(Padding(_links(found), (0, 0, 0, 2)))


def _links(found: CampaignReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Link", overflow="ellipsis", no_wrap=True, max_width=44)
    table.add_column("Clicks", justify="right")
    table.add_column("")
    most = max(link.unique for link in found.top_links)
    for link in found.top_links:
        parts = urlsplit(link.url)
        shown = Text(f"{parts.netloc}{parts.path}")
        table.add_row(shown, f"{link.unique:,}", Text(bar(link.unique / most, 20), "blue"))
    return table


def bar(share: float, cells: int = _BAR_CELLS) -> str:
    """A bar in eighths of a cell; what is there at all can be seen."""
    eighths = round(share * cells * 8)
    eighths = max(eighths, 1) if share > 0 else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def proof_words(proof: Proof) -> str:
    """The proof in one line; what is wrong with an example each."""
    counted = f"{proof.contacts:,} contacts, {proof.messages:,} messages"
    if proof.holds:
        return f"{counted}: nobody twice, none left out"
    wrong = [
        f"{what} {', '.join(addresses)}"
        for what, addresses in (
            ("none for", proof.missing),
            ("twice to", proof.doubled),
            ("a stranger", proof.strangers),
        )
        if addresses
    ]
    return f"{counted}: {'; '.join(wrong)}"


def places(lines: dict[str, str]) -> None:
    """Where the person can look next, on stderr."""
    console = Console(stderr=True, highlight=False)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL_CELLS + 2)
    grid.add_column(overflow="fold")
    for label, text in lines.items():
        grid.add_row(Text(label, "bold"), Text(text))
    console.print()
    console.print(Padding(grid, (0, 0, 0, 2)))
    console.print()
