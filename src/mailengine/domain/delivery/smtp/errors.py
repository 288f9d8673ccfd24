"""How a connection fails to open, and how a session ends. Neither ever carries a password."""

from dataclasses import dataclass
from typing import Literal

from mailengine.core.errors import Unavailable
from mailengine.mail.replies import Reply

ConnectStage = Literal["dns", "connect", "greeting", "ehlo", "tls", "auth"]

EndReason = Literal[
    "drained",  # the source had no more; the session is idle and can be used again
    "closing",  # the server said 421 (RFC 5321 3.8)
    "dropped",  # the connection went away
    "timeout",  # the server did not answer, or did not read, in time
    "protocol",  # the server's answers cannot be understood or cannot be paired with commands
    "aborted",  # this side gave up: cancelled, or the source raised
]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session stopped; a value, because losing a connection is everyday life."""

    reason: EndReason
    detail: str
    reply: Reply | None = None


class ConnectFailed(Unavailable):
    """No usable session with the server; `stage` says how far it went, `reply` what the server said."""

    def __init__(self, where: str, stage: ConnectStage, reply: Reply | None, detail: str) -> None:
        super().__init__(f"SMTP server {where}: {detail}")
        self.stage: ConnectStage = stage
        self.reply = reply
        self.detail = detail
