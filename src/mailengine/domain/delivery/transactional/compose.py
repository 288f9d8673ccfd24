"""A transactional message as bytes: no tracking, no list headers; signed as the tenant's campaigns are.

Auto-Submitted (RFC 3834 section 5) keeps vacation responders from answering. The Message-ID is made of the
message's id and birth alone, so that every try has the same one and mailboxes can drop a double.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

from mailengine.domain.delivery.compose import Composed
from mailengine.domain.delivery.transactional.claim import ClaimedMessage
from mailengine.mail.address import parse_address
from mailengine.mail.dkim import Signer, sign
from mailengine.mail.headers import encode_mailbox_header, encode_structured, encode_unstructured
from mailengine.mail.message import MultipartFrame, plain_content_type, qp_static
from mailengine.mail.verp import MESSAGE_PREFIX, encode_return_path


def compose(
    message: ClaimedMessage, *, signers: Sequence[Signer], verp_key: bytes, now: datetime
) -> Composed:
    """Raises address.AddressError, headers.HeaderError."""
    recipient, sender = parse_address(message.email), parse_address(message.from_email)
    message_id = message_id_of(message.id, message.created_at, sender.domain)
    content_type, body = _body(message)
    headers = b"".join(
        (
            encode_mailbox_header("From", message.from_name, sender.envelope),
            encode_mailbox_header("To", message.to_name, recipient.envelope),
            encode_unstructured("Subject", message.subject),
            f"Date: {format_datetime(now)}\r\n".encode("ascii"),
            encode_structured("Message-ID", f"<{message_id}>"),
            b"Auto-Submitted: auto-generated\r\n",
            content_type,
        )
    )
    signatures = sign(signers, headers, body)
    return Composed(
        mail_from=encode_return_path(
            message.id, message.attempts, sender.domain, verp_key, prefix=MESSAGE_PREFIX
        ),
        rcpt_to=recipient.envelope,
        content=b"".join((signatures, headers, b"\r\n", body)),
        message_id=message_id,
        smtputf8=recipient.needs_smtputf8 or sender.needs_smtputf8,
    )


def message_id_of(message_id: int, created_at: datetime, domain: str) -> str:
    """Without its angle brackets."""
    return f"m{message_id:x}.{int(created_at.timestamp() * 1000):x}@{domain}"


def _body(message: ClaimedMessage) -> tuple[bytes, bytes]:
    """The header fields that describe it, and the body."""
    text = qp_static(f"{message.text.rstrip()}\n").encode("ascii")
    if not message.html:
        return plain_content_type(), text
    token = hashlib.blake2b(f"message:{message.id}:{message.created_at}".encode(), digest_size=9).hexdigest()
    frame = MultipartFrame(token)
    html = qp_static(message.html).encode("ascii")
    return frame.content_type(), b"".join((frame.head(), text, frame.between(), html, frame.tail()))
