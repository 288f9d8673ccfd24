"""Who got what, counted in the caught mail and not in our own ledger."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailengine.core.scope import Scope
from mailengine.domain.contacts.queries import living
from mailengine.mail.address import parse_address
from mailengine.runtime import Runtime

_SHOWN = 10
_RECIPIENT = b"X-RcptTo: "


@dataclass(frozen=True, slots=True)
class Proof:
    """`missing` got none, `doubled` more than one, `strangers` are no contacts; ten of each at most."""

    contacts: int
    messages: int
    missing: list[str]
    doubled: list[str]
    strangers: list[str]

    @property
    def holds(self) -> bool:
        """Every contact got exactly one message, and nobody else got any."""
        return not (self.missing or self.doubled or self.strangers) and self.contacts == self.messages


async def prove(rt: Runtime, scope: Scope, maildir: Path) -> Proof:
    """Compare the contacts with the envelopes' recipients."""
    async with rt.db.read(scope) as tx:
        contacts = (await tx.scalars(living(scope))).all()
    wanted = {parse_address(contact.email).envelope for contact in contacts}
    caught = Counter(recipient(path) for path in messages(maildir))
    return Proof(
        contacts=len(wanted),
        messages=caught.total(),
        missing=sorted(wanted - caught.keys())[:_SHOWN],
        doubled=sorted(address for address, count in caught.items() if count > 1)[:_SHOWN],
        strangers=sorted(caught.keys() - wanted)[:_SHOWN],
    )


def messages(maildir: Path) -> Iterator[Path]:
    return (path for folder in ("new", "cur") for path in sorted((maildir / folder).iterdir()))


def recipient(path: Path) -> str:
    """The envelope's recipient, which the catcher wrote above the message."""
    with path.open("rb") as file:
        for line in file:
            if line.startswith(_RECIPIENT):
                return line.removeprefix(_RECIPIENT).strip().decode()
    return ""
