"""DKIM signatures (RFC 6376), relaxed/simple, with RSA (RFC 8301: SHA-256 only) or Ed25519 (RFC 8463).

Invariants: the input is one header block and one body with CRLF line ends, as they go on the wire;
From, To and Subject are oversigned, so that nobody can add a second one in transit; a key is parsed once.

Bodies are signed as they are: what servers do to white space on the way ("relaxed") cannot happen to
quoted-printable, whose lines are short and end in none, and looking for it was most of the work beside the signature.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mailengine.core.errors import InvalidInput

# RFC 6376 5.4.1, and what receivers act upon: threading, one-click unsubscribe (RFC 8058 4), feedback.
SIGNED_FIELDS = (
    b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type", b"Reply-To",
    b"List-Unsubscribe", b"List-Unsubscribe-Post", b"List-Id", b"Feedback-ID",
)  # fmt: skip
_OVERSIGNED = (b"From", b"To", b"Subject")
_RSA_BITS = 2048  # RFC 8301 3.2: at least 1024 must, 2048 should; 4096 does not fit one DNS string

_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r]*+(?:\r(?:(?!\n)|\n(?=[ \t]))[^\r]*+)*)\r\n")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.I)
_TABS = bytes.maketrans(b"\t", b" ")
_PREHASHED = Prehashed(hashes.SHA256())


class SigningKeyError(InvalidInput):
    """The private key, domain or selector cannot be used to sign."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`private_pem` is unencrypted PKCS#8: seal it before it is stored. `public_b64` goes into DNS."""

    algorithm: Literal["rsa", "ed25519"]
    private_pem: bytes = field(repr=False)
    public_b64: str


def generate_rsa() -> KeyPair:
    """RSA-2048, what every receiver verifies; takes about 0.1 s."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return KeyPair("rsa", _pem(key), _rsa_public(key))


def generate_ed25519() -> KeyPair:
    """Ed25519 (RFC 8463): small and fast, not yet verified everywhere, so for use beside RSA."""
    key = ed25519.Ed25519PrivateKey.generate()
    return KeyPair("ed25519", _pem(key), _ed25519_public(key))


def dns_record(pair: KeyPair) -> str:
    """The TXT value at `<selector>._domainkey.<domain>` (RFC 6376 3.6.1), unsplit."""
    return f"v=DKIM1; k={pair.algorithm}; p={pair.public_b64}"


class Signer:
    """A key of one domain and selector; safe to share between tasks and threads."""

    def __init__(self, domain: str, selector: str, private_key_pem: bytes | str) -> None:
        for what, name in (("domain", domain), ("selector", selector)):
            if not _DOMAIN.fullmatch(name):
                raise SigningKeyError(f"{name[:60]!r} cannot be a DKIM {what}: use its A-label form")
        self._key = _load(private_key_pem, domain)
        algorithm = "rsa" if isinstance(self._key, rsa.RSAPrivateKey) else "ed25519"
        self._opening = (
            f"DKIM-Signature: v=1; a={algorithm}-sha256; c=relaxed/simple;\r\n d={domain}; s={selector};"
        ).encode("ascii")

    def field(self, tags: bytes, canonical: bytes) -> bytes:
        """The signature of `canonical`; `tags` are those that do not depend on the key."""
        unsigned = self._opening + tags
        # RFC 6376 3.7: the signature's own field comes last, with an empty b= and without its CRLF.
        digest = sha256(canonical + _relaxed_field(*unsigned.split(b":", 1))).digest()
        signature = b64encode(self._signature(digest))
        lines = [signature[i : i + 72] for i in range(0, len(signature), 72)]
        return unsigned + b"\r\n ".join(lines) + b"\r\n"

    def _signature(self, digest: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(digest, padding.PKCS1v15(), _PREHASHED)
        return self._key.sign(digest)  # RFC 8463 3: PureEdDSA over the SHA-256 hash


def sign(signers: Sequence[Signer], headers: bytes, body: bytes, *, timestamp: int | None = None) -> bytes:
    """A DKIM-Signature field of each, to be put before `headers` (all fields, without the empty line)."""
    if not signers:
        return b""
    names, canonical = _selected(headers)
    tags = b"%s\r\n h=%s;\r\n bh=%s;\r\n b=" % (
        b"" if timestamp is None else b" t=%d;" % timestamp,
        b":\r\n ".join([b":".join(names[i : i + 5]) for i in range(0, len(names), 5)]),
        b64encode(sha256(simple_body(body)).digest()),
    )
    return b"".join([signer.field(tags, canonical) for signer in signers])


def simple_body(body: bytes) -> bytes:
    """RFC 6376 3.4.3: it ends in one line end, whatever empty lines there are."""
    end = len(body)
    while body[end - 2 : end] == b"\r\n":
        end -= 2
    return body[:end] + b"\r\n"


def _relaxed_field(name: bytes, value: bytes) -> bytes:
    """RFC 6376 3.4.2, without the final CRLF."""
    value = value.replace(b"\r\n", b"").translate(_TABS)
    while b"  " in value:
        value = value.replace(b"  ", b" ")
    return name.lower() + b":" + value.strip(b" ")


def _selected(headers: bytes) -> tuple[list[bytes], bytes]:
    """The h= list and the canonical text of what it names, several of a name from the bottom up (5.4.2)."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in _FIELD.findall(headers):
        fields.setdefault(name.lower(), []).append(value)
    names: list[bytes] = []
    canonical: list[bytes] = []
    for name in SIGNED_FIELDS:
        for value in reversed(fields.get(name.lower(), ())):
            names.append(name)
            canonical.append(_relaxed_field(name, value) + b"\r\n")
    # A name more often in h= than in the message signs the absence of another one (8.15).
    return [*names, *_OVERSIGNED], b"".join(canonical)


def _load(pem: bytes | str, domain: str) -> rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"the DKIM key of {domain} cannot be read as an unencrypted PEM key") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 1024:  # RFC 8301 3.2
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise SigningKeyError(f"the DKIM key of {domain} must be RSA of at least 1024 bits or Ed25519")


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _rsa_public(key: rsa.RSAPrivateKey) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return b64encode(der).decode("ascii")


def _ed25519_public(key: ed25519.Ed25519PrivateKey) -> str:
    return b64encode(key.public_key().public_bytes_raw()).decode("ascii")
