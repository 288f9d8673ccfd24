"""E-mail addresses: one normal form, one key by which two spellings are the same contact.

Invariants: an `Address` holds no control character and no comment, so it can go into a header or an
SMTP command as it is; its domain has a dot and is in A-label form (RFC 5890), at most 253 octets; the
fast path and email-validator accept the same addresses and give the same normal form.

Standards: RFC 5321 4.1.2 (mailbox), 4.5.3.1 (sizes), RFC 5322 3.2.3 (dot-atom), RFC 6531 3.3 (UTF-8),
RFC 5891 (IDNA), RFC 2142 (names that are case-insensitive by decree). Reserved names (.test, .local,
.example, …) are accepted: a self-hoster has internal domains.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from mailengine.core.errors import InvalidInput

if TYPE_CHECKING:
    from types import ModuleType

MAX_LOCAL_OCTETS = 64
MAX_ADDRESS_OCTETS = 254

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
# A label with hyphens in the third and fourth place is Punycode or reserved (RFC 5890 2.3.1): slow path.
# A top-level domain ends in a letter; possessive quantifiers keep the time linear on hostile rows.
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?:{_LABEL})(?<=[A-Za-z])")
_SAFE_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# What spreadsheets and web pages leave around an address, invisible ones included.
_AROUND = " \t\r\n\v\f\u00a0\u1680\u200b\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# RFC 2142: receivers must not tell cases apart here, so neither do we (email-validator has the same list).
_CASELESS = frozenset(
    [
        "info",
        "marketing",
        "sales",
        "support",
        "abuse",
        "noc",
        "security",
        "postmaster",
        "hostmaster",
        "usenet",
        "news",
        "webmaster",
        "www",
        "uucp",
        "ftp",
    ]
)
_MAILBOX = re.compile(r'(?P<name>.*?)[ ]*<(?P<address>[^<>"]*|"(?:[^"\\]|\\.)*"@[^<>]*)>', re.S)
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)

_NO_DOT = "the domain has no dot"
_LONG_LOCAL = "the part before the @ is longer than 64 octets"


class AddressError(InvalidInput):
    """The text is not an address that mail can be sent to; `reason` says why in a few words."""

    def __init__(self, text: str, reason: str) -> None:
        shown = text if len(text) <= 80 else text[:77] + "..."
        super().__init__(f"{shown!r} is not an e-mail address: {reason}")
        self.reason = reason


class Address(NamedTuple):  # made in half the time that a frozen dataclass takes: there is one a message
    """`email` is the form to show and to keep, `key` the one to compare by."""

    email: str
    key: str
    domain: str
    local: str

    @property
    def needs_smtputf8(self) -> bool:
        """True when only a server with SMTPUTF8 (RFC 6531) can take this address."""
        return not self.local.isascii()

    @property
    def envelope(self) -> str:
        """For MAIL and RCPT: the domain as A-labels, which every server understands."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name (may be empty) and an address, as in `Acme <news@example.org>`."""

    name: str
    address: Address


def parse_address(text: str) -> Address:
    """The address that `text` spells, or `AddressError`. White space around it is ignored."""
    local, _, domain = text.rpartition("@")
    if len(text) > MAX_ADDRESS_OCTETS or len(local) > MAX_LOCAL_OCTETS or not _SAFE_LOCAL.fullmatch(local):
        return _parse_rare(text)
    if not _is_plain_domain(domain):
        return _parse_rare(text)
    domain = domain.lower()
    lowered = local.lower()
    key = f"{lowered}@{domain}"
    if lowered in _CASELESS or lowered == local:
        return Address(key, key, domain, lowered)
    return Address(f"{local}@{domain}", key, domain, local)


@lru_cache(4096)  # a list has few domains, and the expression takes longer than all the rest
def _is_plain_domain(domain: str) -> bool:
    return _PLAIN_DOMAIN.fullmatch(domain) is not None


def parse_mailbox(text: str) -> Mailbox:
    """`Acme <news@example.org>`, `"Acme, Inc." <…>` or a bare address, as a person types it."""
    stripped = text.strip(_AROUND)
    if not stripped.endswith(">"):
        return Mailbox("", parse_address(stripped))
    if _CONTROL.search(stripped):
        raise AddressError(text, "it contains a control character")
    match = _MAILBOX.fullmatch(stripped)
    if match is None:
        raise AddressError(text, "write it as Name <local@domain>")
    return Mailbox(_display_name(text, match["name"].strip(_AROUND)), parse_address(match["address"]))


def _display_name(text: str, name: str) -> str:
    quoted = _QUOTED_NAME.fullmatch(name)
    if quoted is not None:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    elif set(name) & set('<>"'):
        raise AddressError(text, "the name before the address needs one pair of quotes")
    return normalize("NFC", name)


def _parse_rare(text: str) -> Address:
    """Quoted or non-ASCII local parts, IDN domains, spaces around; and every refusal."""
    stripped = text.strip(_AROUND)
    if stripped != text:
        return parse_address(stripped)
    if reason := _refusal(text):
        raise AddressError(text, reason)
    validator = _validator()
    try:
        found = validator.validate_email(
            text,
            check_deliverability=False,
            test_environment=True,
            allow_quoted_local=True,
            strict=True,
        )
    except validator.EmailNotValidError as error:
        raise AddressError(text, _shortened(str(error))) from None
    return _checked(text, found.local_part, found.domain, found.ascii_domain)


def _checked(text: str, local: str, domain: str, ascii_domain: str) -> Address:
    """The limits that email-validator does not hold in octets, or lifts for test environments."""
    if "." not in ascii_domain:
        raise AddressError(text, _NO_DOT)
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        raise AddressError(text, _LONG_LOCAL)
    if len(local.encode()) + 1 + len(ascii_domain) > MAX_ADDRESS_OCTETS:
        raise AddressError(text, "it is longer than 254 octets")
    return Address(f"{local}@{domain}", f"{_folded(local)}@{ascii_domain}", ascii_domain, local)


def _folded(local: str) -> str:
    """NFKC_Casefold (Unicode 3.13, D146) but for default ignorables, which are refused earlier."""
    return normalize("NFKC", normalize("NFKC", local).casefold())


def _refusal(text: str) -> str | None:
    """A short reason for the mistakes that files are full of; None leaves it to email-validator."""
    if not text:
        return "it is empty"
    if len(text) > MAX_ADDRESS_OCTETS:
        return "it is longer than 254 characters"
    if _CONTROL.search(text):
        return "it contains a control character"
    local, at, domain = text.rpartition("@")
    if not at:
        return "there is no @"
    return _local_refusal(local) or _domain_refusal(domain)


def _local_refusal(local: str) -> str | None:
    if not local:
        return "there is nothing before the @"
    if local.startswith('"'):
        return None
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        return _LONG_LOCAL
    if "@" in local:
        return "there is more than one @"
    if " " in local:
        return "there is a space before the @"
    if "(" in local or ")" in local:
        return "comments in brackets are not accepted"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "a dot is misplaced before the @"
    return None


def _domain_refusal(domain: str) -> str | None:
    if not domain:
        return "there is nothing after the @"
    if domain.startswith("["):
        return "an IP address in place of a domain is not accepted"
    if " " in domain:
        return "there is a space after the @"
    if "(" in domain or ")" in domain:
        return "comments in brackets are not accepted"
    if domain.startswith(".") or domain.endswith(".") or ".." in domain:
        return "a dot is misplaced after the @"
    if "." not in domain and domain.isascii():
        return _NO_DOT
    if domain.rpartition(".")[2].isdecimal():
        return "the domain ends in a number"
    return None


def _shortened(message: str) -> str:
    message = message.rstrip(".")
    return message if len(message) <= 200 else message[:197] + "..."


@lru_cache(1)
def _validator() -> "ModuleType":
    """email-validator, told that reserved names are for us to judge (its documented way to say so).

    Imported on first use: it takes 25 to 35 ms, and plain addresses never need it.
    """
    import email_validator

    email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()
    return email_validator
