"""An envelope as bytes: commands, parameters, dot-stuffing; and why an envelope cannot be put so.

Nothing here does I/O. Objections are replies made on this side, with the code the server would have used.
"""

import re

from mailengine.domain.delivery.smtp.endpoint import Capabilities
from mailengine.domain.delivery.smtp.envelope import Envelope, Stage
from mailengine.mail.replies import Reply

# These in an address could end the path or the command and inject another (RFC 5321 4.1.1.2); lone
# surrogates cannot be encoded.
_SUSPECT = re.compile(r"[\x00-\x20\x7f<>\ud800-\udfff]")
_QUOTED_LOCAL = re.compile(
    r'"(?:[^\x00-\x1f\x7f"\\\ud800-\udfff]|\\[\x20-\x7e])*"@[^\x00-\x20\x7f<>"\ud800-\udfff]+'
)
_DOT_LINE = re.compile(rb"\r\n\.")  # the expression finds it in half the time of `in`
_NO_LINE_END = bytes(byte for byte in range(256) if byte not in b"\r\n")


def commands(envelope: Envelope, capabilities: Capabilities) -> tuple[bytes, bytes, bytes]:
    """MAIL, RCPT and DATA for one envelope (RFC 5321 3.3), with the parameters the server offers."""
    parameters = _parameters(envelope, capabilities)
    mail = f"MAIL FROM:<{envelope.mail_from}>{parameters}\r\n".encode()
    return mail, f"RCPT TO:<{envelope.rcpt_to}>\r\n".encode(), b"DATA\r\n"


def _parameters(envelope: Envelope, capabilities: Capabilities) -> str:
    parameters = f" SIZE={len(envelope.content)}" if capabilities.takes_size else ""
    if envelope.plain:
        return parameters
    if not envelope.content.isascii():
        parameters += " BODY=8BITMIME"  # RFC 6152 section 3; objection() made sure that it is offered
    if needs_smtputf8(envelope):
        parameters += " SMTPUTF8"  # RFC 6531 section 3.4
    return parameters


def needs_smtputf8(envelope: Envelope) -> bool:
    return envelope.smtputf8 or not (envelope.rcpt_to.isascii() and envelope.mail_from.isascii())


def stuffed(envelope: Envelope) -> bytes:
    """Content with leading dots doubled (RFC 5321 4.5.2), ending in CRLF, without the final dot."""
    content = envelope.content
    if envelope.plain:
        return content
    if _DOT_LINE.search(content):
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


def objection(envelope: Envelope, capabilities: Capabilities) -> tuple[Stage, Reply] | None:
    """Why this envelope cannot be sent to this server at all, or None."""
    if envelope.plain:
        return _too_large(envelope, capabilities)
    if _has_bare_line_end(envelope.content):
        return "final", Reply(554, "5.6.0", "the message has a bare CR or LF; lines must end in CRLF")
    if not _is_path(envelope.rcpt_to) or not envelope.rcpt_to:
        return "rcpt", Reply(501, "5.1.3", "the recipient's address is not a valid mailbox")
    if envelope.mail_from and not _is_path(envelope.mail_from):
        return "mail", Reply(501, "5.1.7", "the envelope sender's address is not a valid mailbox")
    return _unmet_need(envelope, capabilities)


def _has_bare_line_end(content: bytes) -> bool:
    """A bare CR or LF is read as a line end by some servers and not by others: what one takes for text, another
    takes for an end of data and a second message (SMTP smuggling; RFC 5321 2.3.8)."""
    line_ends = content.translate(None, _NO_LINE_END)  # half the cost of counting CRLF, CR and LF
    return line_ends != b"\r\n" * (len(line_ends) // 2)


def _unmet_need(envelope: Envelope, capabilities: Capabilities) -> tuple[Stage, Reply] | None:
    if too_large := _too_large(envelope, capabilities):
        return too_large
    if needs_smtputf8(envelope) and not capabilities.smtputf8:
        return "rcpt", Reply(553, "5.6.7", "the server does not take non-ASCII addresses (SMTPUTF8)")
    if not (capabilities.eight_bit_mime or envelope.content.isascii()):
        return "mail", Reply(554, "5.6.3", "the message has 8-bit text, the server does not offer 8BITMIME")
    return None


def _too_large(envelope: Envelope, capabilities: Capabilities) -> tuple[Stage, Reply] | None:
    limit = capabilities.size_limit_bytes
    if limit is None or len(envelope.content) <= limit:
        return None
    text = f"the message has {len(envelope.content)} bytes, the server takes {limit}"
    return "mail", Reply(552, "5.3.4", text)  # RFC 1870 section 6.1


def _is_path(address: str) -> bool:
    return not _SUSPECT.search(address) or _QUOTED_LOCAL.fullmatch(address) is not None
