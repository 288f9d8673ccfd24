"""Delivery: ways out, what slows them down, what may not have arrived, what did not."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, TabbedContent, TabPane

from mailengine.core.errors import MailengineError
from mailengine.core.terminal import one_line
from mailengine.core.zones import zone_of
from mailengine.domain.delivery.dead_letters import Chosen
from mailengine.domain.delivery.limits.quiet_hours import quiet_until, written
from mailengine.models import QuietHours, Relay, RelayKind, Reputation
from mailengine.tui.screens.page import Page
from mailengine.tui.source.delivery import Pace
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.figures import Facts
from mailengine.tui.widgets.listing import PAGE_ROWS, Found, Listing, Query
from mailengine.tui.widgets.live_table import Column
from mailengine.tui.widgets.text import moment, number, percent, plain

_RELAYS = (
    Column("name", "relay", 18),
    Column("where", "where"),
    Column("enabled", "enabled", 8),
    Column("priority", "priority", 8, room=70, right=True),
    Column("weight", "weight", 6, room=80, right=True),
)
_DOUBTS = (
    Column("id", "id", 8, right=True),
    Column("email", "address", 28),
    Column("why", "why"),
    Column("at", "at", 16, room=90),
)
_LETTERS = (
    Column("email", "address", 28),
    Column("cause", "cause", 13),
    Column("code", "code", 4, room=70, right=True),
    Column("words", "the server's words"),
    Column("at", "at", 16, room=110),
)
# The keys of each tab, and the tab where they hold.
_KEYS = {
    "enable": "relays",
    "probe": "relays",
    "accepted": "doubts",
    "lost": "doubts",
    "again": "doubts",
    "requeue": "letters",
    "requeue_all": "letters",
}


class DeliveryScreen(Page):
    section = "delivery"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next_tab", "Next tab"),
        Binding("b", "previous_tab", "Tab before", show=False),
        Binding("e", "enable", "Enable or disable"),
        Binding("t", "probe", "Test"),
        Binding("a", "accepted", "It arrived"),
        Binding("l", "lost", "It is lost"),
        Binding("s", "again", "Send again"),
        Binding("r", "requeue", "Requeue"),
        Binding("R", "requeue_all", "Requeue all"),
    ]
    DEFAULT_CSS = """
    DeliveryScreen TabbedContent { height: 1fr; }
    DeliveryScreen TabPane { padding: 0; }
    DeliveryScreen Facts { height: auto; padding: 0 1; border: round $foreground 30%; }
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._relays: dict[str, Relay] = {}

    def body(self) -> ComposeResult:
        with TabbedContent(initial="relays"):
            with TabPane("Relays", id="relays"):
                yield Listing(
                    _RELAYS,
                    self._fetch_relays,
                    empty="no relay; `mailengine relay add` adds one",
                    id="relay-list",
                )
            with TabPane("Pace", id="pace"), VerticalScroll():
                yield Facts(id="limits")
                yield Facts(id="warm-ups")
                yield Facts(id="standing")
            with TabPane("In doubt", id="doubts"):
                yield Listing(_DOUBTS, self._fetch_doubts, empty="nothing is in doubt", id="doubt-list")
            with TabPane("Dead letters", id="letters"):
                yield Listing(
                    _LETTERS,
                    self._fetch_letters,
                    search="search in addresses and words",
                    empty="no message was given up",
                    id="letter-list",
                )

    def on_mount(self) -> None:
        titles = {
            "limits": "Throttles, and what they let through now",
            "warm-ups": "Warm-up",
            "standing": "Reputation and quiet hours",
        }
        for name, title in titles.items():
            self.query_one(f"#{name}").border_title = title
        self._focus_list()

    @property
    def _tab(self) -> str:
        """None before it is composed."""
        return next((tabs.active for tabs in self.query(TabbedContent)), "")

    def _listing(self) -> Listing | None:
        """The list of the tab that is open; none on Pace."""
        found = list(self.query_one(f"#{self._tab}").query(Listing)) if self._tab else []
        return found[0] if found else None

    def _focus_list(self) -> None:
        if (listing := self._listing()) is not None:
            listing.table.focus()

    async def look(self) -> None:
        if (listing := self._listing()) is not None:
            await listing.look()
        else:
            self._show_pace(await self.source.delivery.pace())

    def on_tabbed_content_tab_activated(self) -> None:
        self._focus_list()
        self.refresh_bindings()
        self.look_again()

    def action_next_tab(self) -> None:
        self._turn(1)

    def action_previous_tab(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        tabs = self.query_one(TabbedContent)
        ids = [pane.id or "" for pane in tabs.query(TabPane)]
        tabs.active = ids[(ids.index(tabs.active) + step) % len(ids)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys of the tab that is open."""
        if action not in _KEYS:
            return True
        return _KEYS[action] == self._tab

    async def _fetch_relays(self, _query: Query) -> Found:
        self._relays = {str(row.id): row for row in await self.source.delivery.relays()}
        cells = {
            key: (
                plain(row.name),
                plain(_where(row)),
                self._use(row),
                number(row.priority),
                number(row.weight),
            )
            for key, row in self._relays.items()
        }
        return Found(cells, len(cells), None, None)

    def _use(self, row: Relay) -> Text:
        if not row.enabled:
            return Text("no", style=self.ink.style("warning"))
        return Text("yes") if row.trouble_at is None else Text("trouble", style=self.ink.style("error"))

    async def _fetch_doubts(self, query: Query) -> Found:
        page = await self.source.delivery.doubts(limit=PAGE_ROWS, cursor=query.cursor)
        cells = {
            str(row.id): (
                Text(str(row.id), justify="right"),
                plain(row.email),
                plain(row.last_reply),
                Text(moment(row.finished_at)),
            )
            for row in page.items
        }
        return Found(cells, page.total, page.next, page.previous)

    async def _fetch_letters(self, query: Query) -> Found:
        page = await self.source.delivery.letters(text=query.text, limit=PAGE_ROWS, cursor=query.cursor)
        cells = {
            str(row.id): (
                plain(row.email),
                plain(row.cause),
                Text(str(row.code or "–"), justify="right"),
                plain(row.reply),
                Text(moment(row.at)),
            )
            for row in page.items
        }
        return Found(cells, page.total, page.next, page.previous)

    def _show_pace(self, found: Pace) -> None:
        limits = {
            f"{one_line(line.about)} {line.rate}": Text(f"{line.available:,} now") for line in found.limits
        }
        none = Text("see `mailengine limit set`", style="dim")
        self.query_one("#limits", Facts).show(limits or {"none": none})
        warm_ups = {
            one_line(line.about): Text(f"day {line.day}: {line.rate}; full speed from {moment(line.ends)}")
            for line in found.warm_ups
        }
        none = Text("see `mailengine warm-up start`", style="dim")
        self.query_one("#warm-ups", Facts).show(warm_ups or {"none": none})
        self.query_one("#standing", Facts).show(
            {"reputation": self._reputation(found.reputation), "quiet hours": self._quiet(found.quiet)}
        )

    def _reputation(self, row: Reputation | None) -> Text:
        if row is None:
            return Text("not evaluated yet")
        tried = max(1, row.sent + row.bounces)
        colours = {"ok": "success", "risky": "warning", "bad": "error"}
        style = self.ink.style(colours.get(row.standing, ""))
        words = f": {row.sent:,} sent, {percent(row.bounces / tried)} bounced, {row.complaints:,} complained"
        return Text.assemble((row.standing, style), words)

    def _quiet(self, row: QuietHours | None) -> Text:
        if row is None:
            return Text("none")
        span = f"{written(row.starts)} to {written(row.ends)}"
        end = quiet_until(row, self.source.desk.now())
        rests = f"; rests until {end.astimezone(zone_of(row.timezone)):%H:%M}" if end is not None else ""
        return Text(f"{span} {row.timezone}{rests}", style=self.ink.style("warning") if rests else "")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter tests a relay; messages have keys of their own."""
        if self._tab == "relays":
            self.action_probe()

    def action_enable(self) -> None:
        if (relay := self._relay()) is not None:
            self.run_worker(self._enable(relay))

    async def _enable(self, relay: Relay) -> None:
        question = f"Send nothing through {relay.name} any more?"
        if not relay.enabled or await self.sure(question, yes="Disable"):
            await self.act(self.source.delivery.enable(relay.name, enabled=not relay.enabled))

    def action_probe(self) -> None:
        if (relay := self._relay()) is not None:
            self.notify(f"trying {one_line(relay.name)}", markup=False)
            self.run_worker(self._probe(relay), group="probe", exclusive=True)

    async def _probe(self, relay: Relay) -> None:
        try:
            report = await self.source.delivery.probe(relay.name)
        except MailengineError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        failed = next((step for step in report.steps if not step.ok), None)
        if failed is None:
            self.notify(f"{one_line(relay.name)} answers: {one_line(report.greeting)}", markup=False)
        else:
            words = f"{one_line(relay.name)} fails at {failed.name}: {one_line(failed.words)}"
            self.notify(words, severity="error", markup=False, timeout=10)

    def action_accepted(self) -> None:
        if (task_id := self._doubt()) is not None:
            self.do(self.source.delivery.settle(task_id, accepted=True))

    def action_lost(self) -> None:
        if (task_id := self._doubt()) is not None:
            self.run_worker(self._lost(task_id))

    async def _lost(self, task_id: int) -> None:
        if await self.sure(f"Give message {task_id} up? It becomes a dead letter.", yes="Give it up"):
            await self.act(self.source.delivery.settle(task_id, accepted=False))

    def action_again(self) -> None:
        if (task_id := self._doubt()) is not None:
            self.run_worker(self._again(task_id))

    async def _again(self, task_id: int) -> None:
        question = f"Send message {task_id} again? If the first one arrived, they get a second."
        if await self.sure(question, yes="Send again"):
            await self.act(self.source.delivery.send_again(task_id))

    def action_requeue(self) -> None:
        if (key := self._chosen("letters")) is not None:
            self.do(self.source.delivery.requeue(Chosen(ids=[int(key)])))

    def action_requeue_all(self) -> None:
        self.run_worker(self._requeue_all())

    async def _requeue_all(self) -> None:
        listing = self._listing()
        text = listing.query_now.text if listing is not None else ""
        which = f"every dead letter that holds {text!r}" if text else "every dead letter"
        if await self.sure(f"Try {which} again?", yes="Requeue"):
            await self.act(self.source.delivery.requeue(Chosen(text=text)))

    def _relay(self) -> Relay | None:
        key = self._chosen("relays")
        return None if key is None else self._relays.get(key)

    def _doubt(self) -> int | None:
        key = self._chosen("doubts")
        return None if key is None else int(key)

    def _chosen(self, tab: str) -> str | None:
        listing = self._listing()
        return listing.chosen if listing is not None and self._tab == tab else None


def _where(relay: Relay) -> str:
    if relay.trouble_at is not None:
        return f"{moment(relay.trouble_at)} {relay.trouble}"
    if relay.kind == RelayKind.DIRECT:
        return f"the recipients' own servers, as {relay.helo}"
    return f"{relay.host}:{relay.port} {relay.tls}" + (f" as {relay.username}" if relay.username else "")
