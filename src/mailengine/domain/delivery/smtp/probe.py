"""Tries a server step by step, for `relay test`: what works, what does not, in the server's words."""

from dataclasses import dataclass, field
from typing import NamedTuple

import aiosmtplib

from mailengine.domain.delivery.smtp.connect import Negotiation, one_line
from mailengine.domain.delivery.smtp.endpoint import Capabilities, Endpoint
from mailengine.domain.delivery.smtp.envelope import Envelope, Stage
from mailengine.domain.delivery.smtp.errors import ConnectFailed
from mailengine.mail.replies import Reply


class ProbeStep(NamedTuple):
    """One thing tried; `words` is the server's answer or the failure, in one line."""

    name: str
    ok: bool
    words: str


@dataclass(slots=True)
class ProbeReport:
    """What a probe found; `capabilities` is None when the server never answered EHLO or HELO."""

    capabilities: Capabilities | None = None
    steps: list[ProbeStep] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def greeting(self) -> str:
        return "" if self.capabilities is None else self.capabilities.greeting

    @property
    def tls_version(self) -> str | None:
        return None if self.capabilities is None else self.capabilities.tls_version

    @property
    def auth_methods(self) -> tuple[str, ...]:
        return () if self.capabilities is None else self.capabilities.auth_methods


async def probe(
    endpoint: Endpoint,
    *,
    mail_from: str | None = None,
    rcpt_to: str | None = None,
    content: bytes | None = None,
) -> ProbeReport:
    """Connect and log in; with addresses ask whether the server takes them; with content send it."""
    report = ProbeReport()
    negotiation = Negotiation(endpoint)
    try:
        await _negotiate(negotiation, report)
        if mail_from is not None and rcpt_to is not None and content is None:
            await _ask_addresses(negotiation.smtp, mail_from, rcpt_to, report)
        session = negotiation.session()
    except ConnectFailed as failure:
        report.steps.append(ProbeStep(failure.stage, False, failure.detail))
        return report
    finally:
        negotiation.abandon()
    if mail_from is not None and rcpt_to is not None and content is not None:
        await session.run(_OneMessage(Envelope(mail_from, rcpt_to, content, None), report))
    await session.close()
    return report


async def _negotiate(negotiation: Negotiation, report: ProbeReport) -> None:
    endpoint = negotiation.endpoint
    await negotiation.connect()
    report.steps.append(ProbeStep("connect", True, f"connected to {endpoint.where}"))
    await negotiation.greet()
    report.capabilities = negotiation.capabilities()
    report.steps.append(ProbeStep("greeting", True, report.greeting))
    await negotiation.hello()
    report.steps.append(ProbeStep("ehlo", True, _offers(negotiation.capabilities())))
    await negotiation.secure()
    report.capabilities = negotiation.capabilities()
    if endpoint.tls != "none":
        report.steps.append(ProbeStep("tls", True, _protection(endpoint, report.capabilities)))
    await negotiation.log_in()
    if endpoint.username is not None:
        report.steps.append(ProbeStep("auth", True, f"logged in as {endpoint.username}"))


def _offers(capabilities: Capabilities) -> str:
    offered = " ".join(sorted(capabilities.extensions)).upper()
    return offered or "no extensions: the server knows HELO only"


def _protection(endpoint: Endpoint, capabilities: Capabilities) -> str:
    if capabilities.tls_version is None:
        return "the server offers no TLS: not encrypted"
    verified = endpoint.verify and endpoint.tls != "opportunistic"
    checked = "certificate verified" if verified else "certificate NOT verified"
    return f"{capabilities.tls_version}, {checked}"


async def _ask_addresses(smtp: aiosmtplib.SMTP, mail_from: str, rcpt_to: str, report: ProbeReport) -> None:
    """MAIL and RCPT, then RSET: nothing is sent."""
    steps = (("mail", b"MAIL FROM:<%s>", mail_from), ("rcpt", b"RCPT TO:<%s>", rcpt_to))
    try:
        for name, command, address in steps:
            reply = await smtp.execute_command(command % address.encode())
            report.steps.append(ProbeStep(name, reply.code < 300, one_line(f"{reply.code} {reply.message}")))
            if reply.code >= 300:
                break
        await smtp.execute_command(b"RSET")
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        report.steps.append(ProbeStep("rcpt", False, one_line(str(error))))


class _OneMessage:
    """A source of one envelope that writes its fate into the report."""

    def __init__(self, envelope: Envelope, report: ProbeReport) -> None:
        self._envelope: Envelope | None = envelope
        self._report = report

    def next(self) -> Envelope | None:
        envelope, self._envelope = self._envelope, None
        return envelope

    async def wait(self) -> bool:
        return False

    def on_wire(self, envelope: Envelope) -> None:
        """A probe keeps no journal."""

    def accepted(self, envelope: Envelope, reply: Reply) -> None:
        self._note("final", True, f"{reply.code} {reply.text}")

    def refused(self, envelope: Envelope, stage: Stage, reply: Reply) -> None:
        self._note(stage, False, f"{reply.code} {reply.text}")

    def unsent(self, envelope: Envelope, reason: str) -> None:
        self._note("final", False, f"the connection ended before the message was sent: {reason}")

    def doubtful(self, envelope: Envelope, reason: str) -> None:
        self._note("final", False, f"sent, but not confirmed: {reason}")

    def _note(self, name: str, ok: bool, words: str) -> None:
        self._report.steps.append(ProbeStep(name, ok, words))
