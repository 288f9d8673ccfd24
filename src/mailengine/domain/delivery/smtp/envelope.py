"""What goes in and what comes back: the envelope, and the source that gives and takes envelopes."""

from dataclasses import dataclass
from typing import Literal, Protocol

from mailengine.mail.replies import Reply

Stage = Literal["mail", "rcpt", "data", "final"]


@dataclass(slots=True)
class Envelope:
    """One message for one recipient. `content` has CRLF line ends and is not dot-stuffed.

    `ref` is the caller's and comes back untouched. Addresses are addr-specs in ASCII (A-labels), or in
    UTF-8 where the server takes SMTPUTF8 (RFC 6531). `mail_from` may be "" (the null return path).
    `plain`: whoever made it guarantees that `content` is ASCII, that every line ends in CRLF and that none begins
    with a dot, and that both addresses are ASCII and came out of `parse_address` or `encode_return_path`, so that
    nobody looks through them again.
    """

    mail_from: str
    rcpt_to: str
    content: bytes
    ref: object
    smtputf8: bool = False
    plain: bool = False


class Source(Protocol):
    """Gives envelopes to a session and is told the fate of each, once.

    All but `wait` are called synchronously from the event loop's reader: they must not block. What
    they raise ends the session and comes out of `Session.run`.
    """

    def next(self) -> Envelope | None:
        """The next envelope, or None when none is ready now."""

    async def wait(self) -> bool:
        """Return True when `next` may give something, False when nothing more will come.

        It is cancelled when the connection ends meanwhile.
        """

    def on_wire(self, envelope: Envelope) -> None:
        """The end of its data is about to be handed to the transport: write it down before returning."""

    def accepted(self, envelope: Envelope, reply: Reply) -> None:
        """The server took responsibility (2xx to the end of data, RFC 5321 4.2.5)."""

    def refused(self, envelope: Envelope, stage: Stage, reply: Reply) -> None:
        """The server, or what it said about itself in EHLO, refused it for now (4xx) or for good (5xx)."""

    def unsent(self, envelope: Envelope, reason: str) -> None:
        """The session ended, and its end of data never left: it can be sent again without risk."""

    def doubtful(self, envelope: Envelope, reason: str) -> None:
        """Its end of data left and no final reply came: nobody can know."""
