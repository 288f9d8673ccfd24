"""Reading the Maildir of the development catcher.

Invariants: an id is the name of a file that lies in `new` or `cur`, in a form that can name nothing else; a
message is never trusted: what cannot be parsed is shown as far as it can be.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from enum import StrEnum
from pathlib import Path

from mailengine.core.errors import NotFound

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,=:+-]{0,254}")
_FOLDERS = ("new", "cur")
_KEPT = 10_000  # parsed headers in memory; a message in a Maildir never changes
_PARSER = BytesParser(policy=policy.default)


class Part(StrEnum):
    """Where a search looks."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Caught:
    """The line of one message in the list."""

    id: str
    sender: str
    recipients: str
    subject: str
    received_at: datetime
    size_bytes: int

    @property
    def url(self) -> str:
        return f"/caught/{self.id}"

    def matches(self, words: str, part: Part | None) -> bool:
        parts = {Part.SENDER: self.sender, Part.RECIPIENT: self.recipients, Part.SUBJECT: self.subject}
        return words in ("\n".join(parts.values()) if part is None else parts[part]).casefold()


class Maildir:
    """One Maildir; blocking, so it is called in a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lines: OrderedDict[str, Caught] = OrderedDict()

    def lines(self, query: str, part: Part | None = None) -> list[Caught]:
        """The messages that match, in any part or the one that is given, newest first."""
        words = query.strip().casefold()
        found = [self._line(path) for path in self._paths()]
        found = [line for line in found if line.matches(words, part)]
        return sorted(found, key=lambda line: (line.received_at, line.id), reverse=True)

    def line(self, message_id: str) -> Caught:
        """Raises NotFound."""
        return self._line(self._path(message_id))

    def raw(self, message_id: str) -> bytes:
        """Raises NotFound."""
        return self._path(message_id).read_bytes()

    def _paths(self) -> list[Path]:
        return [path for folder in _FOLDERS for path in (self.root / folder).glob("[!.]*") if path.is_file()]

    def _path(self, message_id: str) -> Path:
        if _ID.fullmatch(message_id):
            for folder in _FOLDERS:
                path = self.root / folder / message_id
                if path.is_file():
                    return path
        raise NotFound("there is no such caught message")

    def _line(self, path: Path) -> Caught:
        line = self._lines.get(path.name)
        if line is None:
            line = self._lines[path.name] = _parsed_line(path)
            if len(self._lines) > _KEPT:
                self._lines.popitem(last=False)
        return line


def _parsed_line(path: Path) -> Caught:
    with path.open("rb") as file:
        head = _PARSER.parse(file, headersonly=True)
    status = path.stat()
    return Caught(
        id=path.name,
        sender=header(head, "From"),
        recipients=header(head, "X-RcptTo") or header(head, "To"),
        subject=header(head, "Subject"),
        received_at=datetime.fromtimestamp(status.st_mtime, UTC),
        size_bytes=status.st_size,
    )


def parse(raw: bytes) -> EmailMessage:
    message = _PARSER.parsebytes(raw)
    assert isinstance(message, EmailMessage)
    return message


def header(message: object, name: str) -> str:
    """A header for reading; as it is written where it does not parse."""
    assert isinstance(message, EmailMessage)
    try:
        return _readable(str(message.get(name, "")))
    except (ValueError, LookupError, TypeError, AttributeError):
        rows = message.raw_items()
        return next((_readable(str(value)) for key, value in rows if key.lower() == name.lower()), "")


def _readable(text: str) -> str:
    """Python's parser keeps raw 8-bit bytes (RFC 6532 headers among them) as surrogates, which no page can show."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def written_headers(message: EmailMessage) -> list[tuple[str, str]]:
    """All headers in their order and as they are written, only unfolded."""
    return [(name, _readable(" ".join(str(value).split()))) for name, value in message.raw_items()]


def body(message: EmailMessage, kind: str) -> str | None:
    """The part of the message that is `html` or `plain`, None where it has none."""
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        return _readable(str(part.get_content()))
    except (ValueError, LookupError, KeyError):
        content = part.get_payload(decode=True)
        return content.decode("utf-8", "replace") if isinstance(content, bytes) else None
