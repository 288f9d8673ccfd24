"""A mail catcher in this process (aiosmtpd), for small tests: what came in, parsed, and scripted refusals."""

import email
import email.policy
import socket
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from peers.ports import LOOPBACK, wait_until


@dataclass(frozen=True, slots=True)
class Caught:
    sender: str
    recipients: list[str]
    raw: bytes
    message: EmailMessage


class Catcher:
    """An SMTP server with a memory. `replies` maps a recipient, or "DATA", to what is said instead of 250."""

    def __init__(self, **smtp_options: Any) -> None:
        self.caught: list[Caught] = []
        self.replies: dict[str, str] = {}
        self._controller = _OnAnyPort(self, hostname=LOOPBACK, enable_SMTPUTF8=True, **smtp_options)
        self._controller.start()
        self.host, self.port = LOOPBACK, self._controller.port

    def messages_for(self, recipient: str) -> list[EmailMessage]:
        return [caught.message for caught in self.caught if recipient in caught.recipients]

    def wait_for(self, n: int, seconds: float = 30) -> list[Caught]:
        wait_until(lambda: len(self.caught) >= n, f"{n} messages at the catcher", seconds)
        return self.caught

    def stop(self) -> None:
        self._controller.stop()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.replies:
            return self.replies["DATA"]
        raw = envelope.original_content or b""
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.caught.append(Caught(envelope.mail_from or "", list(envelope.rcpt_tos), raw, message))
        return "250 2.0.0 Ok"


class _OnAnyPort(Controller):
    """aiosmtpd connects to the port that it was told, so that port 0 must be bound before."""

    def __init__(self, handler: Catcher, **options: Any) -> None:
        self._socket = socket.create_server((LOOPBACK, 0), backlog=128)
        super().__init__(handler, port=self._socket.getsockname()[1], **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket, ssl=self.ssl_context)
