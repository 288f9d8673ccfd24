"""The contacts: search, filter, open one, import a file."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from mailengine.core.ids import ContactId
from mailengine.models import Contact, ContactState
from mailengine.tui.screens.contact import ContactScreen
from mailengine.tui.screens.importing import ImportScreen
from mailengine.tui.screens.page import Page
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.dialogs import Ask
from mailengine.tui.widgets.listing import PAGE_ROWS, Found, Listing, Query
from mailengine.tui.widgets.live_table import Column
from mailengine.tui.widgets.text import listed, moment, plain

_COLUMNS = (
    Column("email", "address"),
    Column("name", "name", 22, room=76),
    Column("state", "state", 12),
    Column("tags", "tags", 18, room=60),
    Column("added", "added", 16, room=110),
)


class ContactsScreen(Page):
    section = "contacts"
    look_seconds = 5.0  # a list of people does not change by itself
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "tag", "Tag"),
        Binding("s", "suppress", "Suppress"),
        Binding("i", "import", "Import"),
    ]

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._contacts: dict[str, Contact] = {}

    def body(self) -> ComposeResult:
        yield Listing(
            _COLUMNS,
            self._fetch,
            states=list(ContactState),
            search="search by address, name or tag",
            empty="no contact yet; i imports a file",
            id="contacts",
        )

    def on_mount(self) -> None:
        self.query_one(Listing).table.focus()

    async def look(self) -> None:
        await self.query_one(Listing).look()

    async def _fetch(self, query: Query) -> Found:
        state = ContactState(query.state) if query.state else None
        found = await self.source.contacts.page(
            state=state, text=query.text, limit=PAGE_ROWS, cursor=query.cursor
        )
        self._contacts = {str(row.id): row for row in found.page.items}
        cells = {
            key: (
                plain(row.email),
                plain(f"{row.first_name} {row.last_name}".strip()),
                self.ink.state(row.state),
                plain(listed(found.tags.get(row.id or 0, []))),
                Text(moment(row.created_at)),
            )
            for key, row in self._contacts.items()
        }
        return Found(cells, found.page.total, found.page.next, found.page.previous)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value is not None:
            self.app.push_screen(ContactScreen(self.source, ContactId(int(event.row_key.value))))

    def action_import(self) -> None:
        self.app.push_screen(ImportScreen(self.source))

    def action_tag(self) -> None:
        if (contact := self._chosen()) is not None:
            self.run_worker(self._tag(contact))

    async def _tag(self, contact: Contact) -> None:
        tag = await self.app.push_screen_wait(Ask(f"Which tag does {contact.email} get?"))
        if tag:
            await self.act(self.source.contacts.tag(ContactId(contact.id or 0), tag))

    def action_suppress(self) -> None:
        if (contact := self._chosen()) is not None:
            self.run_worker(self._suppress(contact))

    async def _suppress(self, contact: Contact) -> None:
        if await self.sure(f"Never mail {contact.email} again, whatever list it is on?", yes="Suppress"):
            await self.act(self.source.contacts.suppress(contact))

    def _chosen(self) -> Contact | None:
        key = self.query_one(Listing).chosen
        return None if key is None else self._contacts.get(key)
