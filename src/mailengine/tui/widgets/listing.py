"""A list of many: search, a filter by state, pages, and the table itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from mailengine.tui.widgets.figures import Words
from mailengine.tui.widgets.live_table import Column, LiveTable

PAGE_ROWS = 50


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for; `state` None is all of them."""

    text: str = ""
    state: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows by their keys, with the cursors of the pages beside it."""

    rows: Mapping[str, Sequence[Text]]
    total: int
    next: str | None
    previous: str | None


Fetch = Callable[[Query], Awaitable[Found]]


class Listing(Vertical):
    """`look` asks anew; whoever holds it calls that, also after `Asked`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/"),
        Binding("f", "filter", "Filter"),
        Binding("right_square_bracket", "next", "Next page", key_display="]", show=False),
        Binding("left_square_bracket", "previous", "Previous page", key_display="[", show=False),
        Binding("escape", "back_to_table", show=False),
    ]
    DEFAULT_CSS = """
    Listing { height: 1fr; }
    Listing > Horizontal { height: 1; }
    Listing Input { width: 1fr; border: none; height: 1; padding: 0 1; }
    Listing .summary { width: auto; padding: 0 1; color: $text-muted; }
    Listing LiveTable { height: 1fr; }
    Listing .empty { height: auto; padding: 1 2; color: $text-muted; display: none; }
    Listing.-empty .empty { display: block; }
    Listing.-empty LiveTable { height: 1; }
    """

    class Asked(Message):
        """The list wants to be looked at anew."""

    def __init__(
        self, columns: Sequence[Column], fetch: Fetch, *, states: Sequence[str] = (), search: str = "", empty: str,
        id: str,
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self._columns, self._fetch, self._states, self._search = tuple(columns), fetch, tuple(states), search
        self._empty = empty
        self._query = Query()
        self._found = Found({}, 0, None, None)

    def compose(self) -> ComposeResult:
        with Horizontal():
            if self._search:
                yield Input(placeholder=self._search, id=f"{self.id}-search", compact=True)
            yield Words(classes="summary", id=f"{self.id}-summary")
        yield LiveTable(self._columns, id=f"{self.id}-table")
        yield Words(classes="empty", id=f"{self.id}-empty")

    @property
    def table(self) -> LiveTable:
        return self.query_one(LiveTable)

    @property
    def chosen(self) -> str | None:
        """The key of the row with the cursor."""
        return self.table.chosen if self._found.rows else None

    @property
    def query_now(self) -> Query:
        return self._query

    async def look(self) -> None:
        query = self._query
        found = await self._fetch(query)
        if query != self._query:  # typed on meanwhile: that answer is on its way
            return
        self._found = found
        self.set_class(not found.rows, "-empty")
        asked = query.text or query.state
        self.query_one(f"#{self.id}-empty", Words).say(Text("nothing matches" if asked else self._empty))
        self.query_one(f"#{self.id}-summary", Words).say(Text(self._summary(found)))
        self.table.show(found.rows)

    def _summary(self, found: Found) -> str:
        pages = {(True, True): " · [ ] pages", (True, False): " · ] more", (False, True): " · [ back"}
        more = pages.get((found.next is not None, found.previous is not None), "")
        state = f"{self._query.state} · " if self._query.state else ""
        return f"{state}{found.total:,}{more}"

    def start_anew(self) -> None:
        """Everything, from its first page: it belongs to another tenant now."""
        self._query = Query()
        for field in self.query(Input):
            field.value = ""

    def action_search(self) -> None:
        for field in self.query(Input):
            field.focus()

    def action_back_to_table(self) -> None:
        self.table.focus()

    def action_filter(self) -> None:
        """The next state, and after the last all of them."""
        states = (None, *self._states)
        place = states.index(self._query.state)
        self._ask(replace(self._query, state=states[(place + 1) % len(states)], cursor=None))

    def action_next(self) -> None:
        if self._found.next is not None:
            self._ask(replace(self._query, cursor=self._found.next))

    def action_previous(self) -> None:
        if self._found.previous is not None:
            self._ask(replace(self._query, cursor=self._found.previous))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only keys that do something are shown."""
        if action == "search":
            return bool(self._search)
        return bool(self._states) if action == "filter" else True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._query.text:
            self._ask(replace(self._query, text=event.value, cursor=None))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    def _ask(self, query: Query) -> None:
        self._query = query
        self.post_message(self.Asked())
