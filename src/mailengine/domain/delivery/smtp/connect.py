"""From a host name to a session: DNS, TCP, greeting, EHLO, STARTTLS, AUTH, each with its own failure.

aiosmtplib speaks the negotiation over a socket that is connected here, so that a failing name, a refused
connection and a bad certificate are told apart. After STARTTLS it discards what was sent in clear and
EHLO is said again (RFC 3207 4.2), which is what keeps injected replies out.
"""

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import aiosmtplib

from mailengine.core.log import get_logger
from mailengine.domain.delivery.smtp.dialogue import Dialogue
from mailengine.domain.delivery.smtp.endpoint import Capabilities, Endpoint
from mailengine.domain.delivery.smtp.errors import ConnectFailed, ConnectStage
from mailengine.domain.delivery.smtp.session import Session
from mailengine.domain.delivery.smtp.tcp import connect_socket
from mailengine.mail.replies import Reply, parse_reply

_MAX_WORDS = 1000

log = get_logger("smtp")


async def open_session(endpoint: Endpoint) -> Session:
    """A session ready to run. Raises ConnectFailed; leaves nothing open when it does."""
    negotiation = Negotiation(endpoint)
    try:
        return await _negotiated(negotiation)
    except ConnectFailed as failure:
        if not negotiation.failed_in_optional_tls(failure):
            raise
        log.info("TLS failed, trying in clear", server=endpoint.where, words=failure.detail)
    # What a broken handshake leaves of the connection cannot be used for SMTP: a new one, and only one.
    return await _negotiated(Negotiation(replace(endpoint, tls="none")))


async def _negotiated(negotiation: "Negotiation") -> Session:
    try:
        await negotiation.connect()
        await negotiation.greet()
        await negotiation.hello()
        await negotiation.secure()
        await negotiation.log_in()
        return negotiation.session()
    except BaseException:
        negotiation.abandon()
        raise


class Negotiation:
    """The steps up to a usable connection, to be taken in the order in which they stand here."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._socket: socket.socket | None = None
        self._peer_address = ""
        self._greeting = ""
        self._tls_version: str | None = None
        self._tls_tried = False
        self.smtp = aiosmtplib.SMTP()

    async def connect(self) -> None:
        self._socket = await connect_socket(self.endpoint)
        with self._failing("connect"):
            self._peer_address = self._socket.getpeername()[0]

    async def greet(self) -> None:
        """TLS where it is implicit (RFC 8314 3.3), then the server's 220."""
        assert self._socket is not None
        endpoint = self.endpoint
        self.smtp = aiosmtplib.SMTP(
            hostname=endpoint.host,
            sock=self._socket,
            local_hostname=endpoint.helo or _own_name(self._socket),
            timeout=endpoint.command_timeout_seconds,
            use_tls=endpoint.tls == "tls",
            start_tls=False,
            tls_context=None if endpoint.tls == "none" else await self._tls_context(),
        )
        with self._failing("greeting"):
            reply = await self.smtp.connect(timeout=endpoint.connect_timeout_seconds)
            self._note_tls()
        self._greeting = one_line(reply.message)

    async def hello(self) -> None:
        """EHLO; HELO where a server knows no ESMTP and says so for good (RFC 5321 3.2)."""
        with self._failing("ehlo"):
            try:
                await self.smtp.ehlo()
            except aiosmtplib.SMTPHeloError as error:
                if error.code < 500 or not self.smtp.is_connected:
                    raise
                await self.smtp.helo()

    async def secure(self) -> None:
        """STARTTLS where it is asked for; a server without it is refused unless TLS is opportunistic."""
        if self.endpoint.tls not in ("starttls", "opportunistic"):
            return
        self._require_connection("tls")
        if not self.smtp.supports_extension("starttls"):
            if self.endpoint.tls == "opportunistic":
                return
            raise self._failed("tls", None, "the server does not offer STARTTLS")
        self._tls_tried = True
        with self._failing("tls"):
            await self.smtp.starttls()
            self._note_tls()
        await self.hello()

    async def log_in(self) -> None:
        endpoint = self.endpoint
        if endpoint.username is None:
            return
        self._require_connection("auth")
        in_clear = self._tls_version is None and not is_loopback(self._peer_address)
        if in_clear and not endpoint.allow_plaintext_auth:
            raise self._failed("auth", None, "will not send a password unencrypted; use starttls or tls")
        if not self.smtp.supports_extension("auth"):
            raise self._failed("auth", None, "a user name is set, but the server does not offer AUTH")
        with self._failing("auth"):
            if endpoint.auth == "xoauth2":
                await self.smtp.auth_xoauth2(endpoint.username, endpoint.password or "")
            else:
                await self.smtp.login(endpoint.username, endpoint.password or "")

    def failed_in_optional_tls(self, failure: ConnectFailed) -> bool:
        """Whether the server may still be used in clear. TLS 1.3 can fail as late as the first reply."""
        optional = self.endpoint.tls == "opportunistic" and self._tls_tried
        return optional and (failure.stage == "tls" or failure.reply is None)

    def session(self) -> Session:
        """The negotiated connection, which from now on is the session's to close."""
        capabilities = self.capabilities()
        return Session(self._take_over(capabilities), self.endpoint, capabilities)

    def abandon(self) -> None:
        """Close what no session has taken over."""
        self.smtp.close()
        if self._socket is not None:
            self._socket.close()

    def capabilities(self) -> Capabilities:
        extensions = dict(self.smtp.esmtp_extensions)
        if not self.endpoint.pipelining:
            extensions.pop("pipelining", None)
        return Capabilities(
            extensions=extensions,
            auth_methods=tuple(method.upper() for method in self.smtp.server_auth_methods),
            greeting=self._greeting,
            tls_version=self._tls_version,
        )

    def _take_over(self, capabilities: Capabilities) -> Dialogue:
        """Put our protocol on aiosmtplib's transport: the only reach into its insides.

        A byte left in its buffer would be read as the reply to the first MAIL, so there must be none.
        """
        protocol, transport = self.smtp.protocol, self.smtp.transport
        if protocol is None or transport is None or transport.is_closing():
            raise self._failed("ehlo", None, "the server hung up after the greeting")
        if protocol._buffer:
            raise self._failed("ehlo", None, "the server sent a reply that no command asked for")
        dialogue = Dialogue(cast(asyncio.Transport, transport), self.endpoint, capabilities)
        transport.set_protocol(dialogue)
        self.smtp.protocol = self.smtp.transport = self._socket = None
        return dialogue

    async def _tls_context(self) -> ssl.SSLContext:
        endpoint = self.endpoint
        if endpoint.tls == "opportunistic":
            return _trusting(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        try:  # in a thread: reading the authorities takes tens of milliseconds
            context = await asyncio.to_thread(ssl.create_default_context, cafile=endpoint.ca_file)
        except OSError as error:
            raise self._failed("tls", None, f"cannot use CA file {endpoint.ca_file}: {error}") from None
        return context if endpoint.verify else _trusting(context)

    def _note_tls(self) -> None:
        tls = self.smtp.get_transport_info("ssl_object")
        self._tls_version = None if tls is None else tls.version()

    def _require_connection(self, stage: ConnectStage) -> None:
        """aiosmtplib forgets the extensions when the connection goes: do not take that for "not offered"."""
        if not self.smtp.is_connected:
            raise self._failed(stage, None, "the server hung up")

    @contextmanager
    def _failing(self, stage: ConnectStage) -> Iterator[None]:
        """Turn what aiosmtplib raises into ConnectFailed. `from None`: its causes may hold credentials."""
        try:
            yield
        except aiosmtplib.SMTPResponseException as error:
            raise self._from_response(stage, error) from None
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
            if stage == "greeting" and self.endpoint.tls == "tls" and _before_greeting(error):
                stage = "tls"
            raise self._failed(stage, None, _plain(error)) from None

    def _from_response(self, stage: ConnectStage, error: aiosmtplib.SMTPResponseException) -> ConnectFailed:
        text = self._redacted(error.message)
        if not 200 <= error.code < 600:  # aiosmtplib's -1: not a reply
            return self._failed(stage, None, f"the server does not speak SMTP: {text}")
        reply = parse_reply([f"{error.code} {line}" for line in text.split("\n")])
        return self._failed(stage, reply, f"refused at {stage}: {error.code} {text}")

    def _failed(self, stage: ConnectStage, reply: Reply | None, detail: str) -> ConnectFailed:
        return ConnectFailed(self.endpoint.where, stage, reply, one_line(self._redacted(detail)))

    def _redacted(self, text: str) -> str:
        """Some servers echo what they were sent; a password must not reach a log that way."""
        username, password = self.endpoint.username or "", self.endpoint.password
        if not password:
            return text
        for sent in (f"\0{username}\0{password}", password):
            text = text.replace(base64.b64encode(sent.encode()).decode(), "***")
        return text.replace(password, "***")


def _trusting(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, taking any certificate."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_loopback(address: str) -> bool:
    """Whether an address never leaves this machine; judged on the address, since names can lie."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def _own_name(connected: socket.socket) -> str:
    """The host's full name, or else its address as a literal (RFC 5321 4.1.3, 4.1.4)."""
    name = socket.gethostname()
    if "." in name.strip(".") and name.isascii():
        return name
    address = connected.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _before_greeting(error: Exception) -> bool:
    """Whether connect() failed in the TLS handshake, which aiosmtplib tells by the cause alone."""
    return not isinstance(error.__cause__, aiosmtplib.SMTPException)


def _plain(error: BaseException) -> str:
    """What went wrong in few words: aiosmtplib's repeat the host, its cause's do not."""
    if isinstance(error, aiosmtplib.SMTPConnectError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error}"
    return str(error) or repr(error)


def one_line(text: str) -> str:
    """A server's words without what could break a log line or steer a terminal (escape sequences)."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:_MAX_WORDS]).split())
