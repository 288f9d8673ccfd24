"""From a snapshot to bytes: compiled once per campaign, per recipient only what differs.

What all recipients share is rendered and quoted-printable encoded when the campaign is compiled; in the loop
a message costs its merged values, five header lines and its signatures. No email.message objects here.

Headers: RFC 5322 (From, To, Subject, Date, Message-ID), RFC 2045 (MIME), RFC 2369 and 8058 (List-Unsubscribe,
List-Unsubscribe-Post), RFC 2919 (List-Id), and Feedback-ID for Gmail's feedback loop.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from markupsafe import escape

from mailengine.domain.content.render import CompiledMessage
from mailengine.domain.content.values import Links, Person, Ready, recipient_values
from mailengine.domain.tracking.tokens import TOKEN_CHARS, TokenSigner
from mailengine.mail.address import parse_address
from mailengine.mail.dkim import Signer, sign
from mailengine.mail.headers import (
    encode_list_id,
    encode_mailbox_header,
    encode_structured,
    encode_unstructured,
    mailbox_header,
)
from mailengine.mail.message import SOFT_BREAK, MultipartFrame, qp_static, qp_value
from mailengine.mail.verp import encode_return_path
from mailengine.models import Snapshot


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Composed:
    """A message ready for SMTP; `content` has CRLF line ends and is not dot-stuffed.

    `plain`: it is ASCII and no line begins with a dot, because of what `mail.message` and `mail.headers` promise, and
    its addresses, which `parse_address` and `encode_return_path` made, are ASCII too.
    """

    mail_from: str
    rcpt_to: str
    content: bytes
    message_id: str
    smtputf8: bool
    plain: bool = False


class Composer:
    """All that one campaign's messages share."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        tenant_slug: str,
        base_url: str,
        tokens: TokenSigner,
        verp_key: bytes,
        signers: Sequence[Signer],
    ) -> None:
        self._message = CompiledMessage(
            subject=snapshot.subject,
            html=snapshot.html,
            text=snapshot.text,
            static=qp_static,
            value=qp_value,
        )
        self._tenant_id = snapshot.tenant_id
        self._campaign_id = snapshot.campaign_id
        self._organisation = str(snapshot.settings["organisation"])
        self._postal_address = str(snapshot.settings["postal_address"])
        self._base_url = base_url
        longest = f"{base_url}/o/{'-' * TOKEN_CHARS}.gif"
        self._link = _ready if qp_value(escape(longest)) == longest + SOFT_BREAK else str
        self._tokens = tokens
        self._verp_key = verp_key
        self._signers = signers
        sender = parse_address(snapshot.from_email)
        self.domain = sender.domain
        self._launched = f"{int(snapshot.created_at.timestamp()):x}"
        self._shared_headers = _shared_headers(snapshot, self.domain, tenant_slug)
        frame = MultipartFrame(_boundary_token(snapshot))
        self._content_type = frame.content_type()
        self._head, self._between, self._tail = (
            part.decode("ascii") for part in (frame.head(), frame.between(), frame.tail())
        )
        self._date = (datetime.min.replace(tzinfo=UTC), b"")

    def compose(self, task_id: int, attempt: int, person: Person, now: datetime) -> Composed:
        """One recipient's message. Raises merge.RenderError, address.AddressError: the recipient's fault,
        never the campaign's."""
        manage, track = self._tokens.sign_for_message(task_id, self._tenant_id)
        unsubscribe = f"{self._base_url}/u/{manage}"
        links = Links(
            unsubscribe=self._link(unsubscribe),
            view_online=self._link(f"{self._base_url}/v/{manage}"),
            click=self._link(f"{self._base_url}/c/{track}"),
            open=self._link(f"{self._base_url}/o/{track}.gif"),
        )
        values = recipient_values(
            person,
            links,
            organisation=self._organisation,
            postal_address=self._postal_address,
            seed=f"{self._campaign_id}/{task_id}",
        )
        subject, text = self._message.render_between(values, self._head, self._between, self._tail)
        body = text.encode("ascii")
        recipient = parse_address(person.email)
        message_id = f"{task_id:x}.{self._launched}@{self.domain}"
        headers = b"".join(
            (
                mailbox_header("To", str(values["full_name"]), recipient),
                encode_unstructured("Subject", subject),
                self._date_header(now),
                b"Message-ID: <%s>\r\n" % message_id.encode("ascii"),
                b"List-Unsubscribe: <%s>\r\n" % unsubscribe.encode("ascii"),
                self._shared_headers,
                self._content_type,
            )
        )
        signatures = sign(self._signers, headers, body)
        return Composed(
            mail_from=encode_return_path(task_id, attempt, self.domain, self._verp_key),
            rcpt_to=recipient.envelope,
            content=b"".join((signatures, headers, b"\r\n", body)),
            message_id=message_id,
            smtputf8=recipient.needs_smtputf8,
            plain=not recipient.needs_smtputf8,  # such an address stands in the header in UTF-8
        )

    def _date_header(self, now: datetime) -> bytes:
        if self._date[0] is not now:  # one clock reading serves several messages, and many are of one second
            if self._date[0].replace(microsecond=0) == now.replace(microsecond=0):
                self._date = (now, self._date[1])
            else:
                self._date = (now, f"Date: {format_datetime(now)}\r\n".encode("ascii"))
        return self._date[1]


def _ready(link: str) -> str:
    """Tokens and short plain base URLs go into any body as they are."""
    return Ready(link, link + SOFT_BREAK)


def _shared_headers(snapshot: Snapshot, domain: str, tenant_slug: str) -> bytes:
    sender = parse_address(snapshot.from_email)
    lines = [
        encode_mailbox_header("From", snapshot.from_name, sender.envelope),
        # One click in the mail program unsubscribes, by POST (RFC 8058 section 3.1).
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        encode_list_id(str(snapshot.settings["organisation"]), f"{tenant_slug}.{domain}"),
        # campaign : tenant : kind : sender, the last one stable over campaigns (Gmail's documentation).
        encode_structured("Feedback-ID", f"{snapshot.campaign_id}:{tenant_slug}:campaign:mailengine"),
    ]
    if snapshot.reply_to:
        lines.append(encode_mailbox_header("Reply-To", "", parse_address(snapshot.reply_to).envelope))
    return b"".join(lines)


def _boundary_token(snapshot: Snapshot) -> str:
    return hashlib.blake2b(f"{snapshot.campaign_id}:{snapshot.id}".encode(), digest_size=9).hexdigest()
