"""The sidebar: every section of the UI, and who is offered it. A new section is a line here."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailengine.core.scope import Grant, Scope


@dataclass(frozen=True, slots=True)
class Entry:
    """`key` is what a page sets as `nav`; `icon` is one of atoms/icon.html; `grant` is what one needs to see it."""

    key: str
    href: str
    icon: str
    label: str
    grant: Grant = Grant.READ


Section = tuple[str, Sequence[Entry]]

CAUGHT = Entry("caught", "/caught", "inbox", "Caught mail")
SECTIONS: Sequence[Section] = (
    (
        "",
        (
            Entry("dashboard", "/", "activity", "Dashboard"),
            Entry("campaigns", "/campaigns", "megaphone", "Campaigns"),
            Entry("templates", "/templates", "layout", "Templates"),
        ),
    ),
    (
        "Audience",
        (
            Entry("contacts", "/contacts", "users", "Contacts"),
            Entry("imports", "/imports", "upload", "Imports"),
            Entry("lists", "/lists", "list", "Lists"),
            Entry("tags", "/tags", "tag", "Tags"),
            Entry("segments", "/segments", "filter", "Segments"),
            Entry("forms", "/forms", "mail-check", "Sign-up forms"),
            Entry("suppression", "/suppression", "ban", "Suppression"),
        ),
    ),
    (
        "Delivery",
        (
            Entry("delivery", "/delivery", "send", "Delivery"),
            Entry("relays", "/relays", "server", "SMTP servers"),
            Entry("domains", "/domains", "globe", "Sending domains"),
            Entry("jobs", "/jobs", "clock", "Jobs"),
        ),
    ),
    (
        "Settings",
        (
            Entry("organisation", "/settings/organisation", "building", "Organisation"),
            Entry("links", "/settings/links", "settings", "Links and tracking"),
            Entry("team", "/team", "users", "Team"),
            Entry("keys", "/settings/keys", "key", "API keys", Grant.MANAGE),
            Entry("audit", "/audit", "scroll", "Audit log", Grant.MANAGE),
        ),
    ),
)


def navigation(scope: Scope, *, catcher: bool) -> list[Section]:
    """What this reader is offered."""
    found: list[Section] = [
        (title, [entry for entry in entries if entry.grant in scope.grants]) for title, entries in SECTIONS
    ]
    if catcher:
        found[-1] = (found[-1][0], [*found[-1][1], CAUGHT])
    return [section for section in found if section[1]]
