"""One contact: what is known, and all that happened, newest first."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from mailengine.core.ids import ContactId
from mailengine.core.terminal import one_line
from mailengine.domain.reports.timeline import Entry
from mailengine.tui.screens.page import Detail
from mailengine.tui.source.contacts import Known
from mailengine.tui.source.source import Source
from mailengine.tui.widgets.dialogs import Ask, Choose
from mailengine.tui.widgets.figures import Facts, Words
from mailengine.tui.widgets.live_table import Column, LiveTable
from mailengine.tui.widgets.text import listed, moment, plain

_COLUMNS = (
    Column("at", "when", 16),
    Column("kind", "what", 18),
    Column("what", "about", 24, room=70),
    Column("details", "details"),
)
_PAGE = 50


class ContactScreen(Detail):
    section = "contacts"
    look_seconds = 5.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "tag", "Tag"),
        Binding("u", "untag", "Untag"),
        Binding("s", "suppress", "Suppress"),
        Binding("s", "unsuppress", "Mail again"),
        Binding("x", "unsubscribe", "Unsubscribe"),
        Binding("m", "older", "Older"),
    ]
    DEFAULT_CSS = """
    ContactScreen #title { height: auto; padding: 0 1; }
    ContactScreen #facts { height: auto; padding: 0 1; }
    ContactScreen VerticalScroll { height: auto; max-height: 50%; border: round $foreground 30%; }
    ContactScreen LiveTable { height: 1fr; min-height: 5; }
    """

    def __init__(self, source: Source, contact_id: ContactId) -> None:
        super().__init__(source)
        self._contact_id = contact_id
        self._known: Known | None = None
        self._pages = 1
        self._more = False

    def body(self) -> ComposeResult:
        yield Words(id="title")
        with VerticalScroll():
            yield Facts(id="facts")
        yield LiveTable(_COLUMNS, id="timeline")

    def on_mount(self) -> None:
        self.query_one(LiveTable).focus()

    async def look(self) -> None:
        known = await self.source.contacts.get(self._contact_id)
        self._show(known)
        entries = await self._entries()
        self.query_one(LiveTable).show(
            {
                f"{number}": (
                    Text(moment(entry.at)),
                    plain(entry.kind),
                    plain(entry.what),
                    plain(_details(entry)),
                )
                for number, entry in enumerate(entries)
            }
        )
        self.refresh_bindings()

    async def _entries(self) -> Sequence[Entry]:
        """The newest of them, as far back as was asked for."""
        entries: list[Entry] = []
        cursor: str | None = None
        for _page in range(self._pages):
            found = await self.source.contacts.timeline(self._contact_id, limit=_PAGE, cursor=cursor)
            entries += found.items
            cursor = found.next
            if cursor is None:
                break
        self._more = cursor is not None
        return entries

    def _show(self, known: Known) -> None:
        self._known = known
        contact, ink = known.contact, self.ink
        title = Text.assemble((one_line(contact.email), "bold"), "  ", ink.state(contact.state))
        if known.suppressed:
            title.append("  suppressed", style=ink.style("error"))
        self.query_one("#title", Words).say(title)
        consent = (
            f"{contact.consent_source} {moment(contact.consent_at)}".strip() if contact.consent_at else ""
        )
        own = {
            known.labels.get(name, name): plain(value if not isinstance(value, list) else listed(value))
            for name, value in contact.attributes.items()
        }
        self.query_one(Facts).show(
            {
                "name": plain(f"{contact.first_name} {contact.last_name}".strip()),
                "lists": plain(", ".join(f"{name} ({state})" for name, state in known.lists.items())),
                "tags": plain(", ".join(known.tags)),
                "consent": plain(consent or contact.consent_source),
                "added": Text(moment(contact.created_at)),
                **{one_line(name): value for name, value in own.items()},
            }
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys for what can be done with this contact now."""
        known = self._known
        if known is None:
            return action == "leave"
        allowed = {
            "untag": bool(known.tags),
            "suppress": not known.suppressed,
            "unsuppress": known.suppressed,
            "unsubscribe": known.contact.state in ("subscribed", "unconfirmed", "inactive"),
            "older": self._more,
        }
        return allowed.get(action, True)

    def action_older(self) -> None:
        self._pages += 1
        self.look_again()

    def action_tag(self) -> None:
        self.run_worker(self._tag())

    async def _tag(self) -> None:
        tag = await self.app.push_screen_wait(Ask("Which tag?"))
        if tag:
            await self.act(self.source.contacts.tag(self._contact_id, tag))

    def action_untag(self) -> None:
        self.run_worker(self._untag())

    async def _untag(self) -> None:
        if self._known is None:
            return
        choices = [(str(number), tag) for number, tag in enumerate(self._known.tags)]
        chosen = await self.app.push_screen_wait(Choose("Which tag is taken off?", choices))
        if chosen is not None:
            await self.act(self.source.contacts.untag(self._contact_id, choices[int(chosen)][1]))

    def action_suppress(self) -> None:
        self.run_worker(self._suppress())

    async def _suppress(self) -> None:
        if self._known is None:
            return
        contact = self._known.contact
        if await self.sure(f"Never mail {contact.email} again, whatever list it is on?", yes="Suppress"):
            await self.act(self.source.contacts.suppress(contact))

    def action_unsuppress(self) -> None:
        self.run_worker(self._unsuppress())

    async def _unsuppress(self) -> None:
        if self._known is None:
            return
        contact = self._known.contact
        if await self.sure(f"Mail {contact.email} again? Only with their consent.", yes="Mail again"):
            await self.act(self.source.contacts.unsuppress(contact))

    def action_unsubscribe(self) -> None:
        self.run_worker(self._unsubscribe())

    async def _unsubscribe(self) -> None:
        if self._known is None:
            return
        contact = self._known.contact
        if await self.sure(f"Send {contact.email} no more campaigns?", yes="Unsubscribe"):
            await self.act(self.source.contacts.unsubscribe(contact))


def _details(entry: Entry) -> str:
    return " ".join(f"{name}: {value}" for name, value in entry.details.items() if value)
