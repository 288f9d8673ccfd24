"""The merge tags: what a template may name, and the value of each for one recipient.

A contact's attributes are tags under their own names; a built-in tag is never overridden by an attribute.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailengine.domain.content.spintax import spinner

CONTACT_TAGS = ("email", "first_name", "last_name", "full_name")
TENANT_TAGS = ("organisation", "postal_address")
LINK_TAGS = ("unsubscribe_url", "view_online_url")
BUILT_IN_TAGS = frozenset(CONTACT_TAGS + TENANT_TAGS + LINK_TAGS)


class Ready(str):
    """A value that says how it is printed: `printed`, which needs no escaping and no encoding any more.

    Whatever a filter makes of it is plain text again.
    """

    __slots__ = ("printed",)
    printed: str

    def __new__(cls, text: str, printed: str) -> "Ready":
        made = super().__new__(cls, text)
        made.printed = printed
        return made


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Person:
    """What is merged from a contact."""

    email: str
    first_name: str
    last_name: str
    attributes: Mapping[str, object]


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Links:
    """The recipient's own URLs; `click` takes `/N`, N being the link's index in the snapshot."""

    unsubscribe: str
    view_online: str
    click: str
    open: str


def recipient_values(
    person: Person, links: Links, *, organisation: str, postal_address: str, seed: str
) -> dict[str, object]:
    """Everything that a compiled template may ask for."""
    values: dict[str, object] = dict(person.attributes)
    values.update(
        email=person.email,
        first_name=person.first_name,
        last_name=person.last_name,
        full_name=f"{person.first_name} {person.last_name}".strip(),
        organisation=organisation,
        postal_address=postal_address,
        unsubscribe_url=links.unsubscribe,
        view_online_url=links.view_online,
        click_url=links.click,
        open_url=links.open,
        spin=spinner(seed),
    )
    return values
