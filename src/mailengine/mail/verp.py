"""Variable envelope return paths: the address a bounce comes back to says which task it is about.

`b-<token>@domain`, where the token is base32 of task id (8 octets), attempt (2) and a truncated HMAC-SHA-256
(10). Base32 in lower case because servers on the way may change the case of a local part; the MAC
(80 bits, RFC 2104 section 5) because anyone may send to the address and must not suppress a contact.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error as DecodeError

PREFIX = "b-"
MESSAGE_PREFIX = "m-"  # of transactional messages, whose ids and key are their own
_MAC_OCTETS = 10
_PAYLOAD_OCTETS = 10
_TOKEN_CHARACTERS = (_PAYLOAD_OCTETS + _MAC_OCTETS) * 8 // 5


def encode_return_path(task_id: int, attempt: int, domain: str, key: bytes, *, prefix: str = PREFIX) -> str:
    """The envelope sender of one attempt; 34 characters before the "@" (RFC 5321 4.5.3.1.1: 64)."""
    payload = task_id.to_bytes(8, "big") + (attempt & 0xFFFF).to_bytes(2, "big")
    token = b32encode(payload + _mac(payload, key)).decode("ascii").lower()
    return f"{prefix}{token}@{domain}"


def decode(address: str, key: bytes, *, prefix: str = PREFIX) -> int | None:
    """The task id, or None for an address that `key` did not make. The domain may have changed since."""
    local = address.strip().removeprefix("<").partition("@")[0].lower()
    token = local.removeprefix(prefix)
    if token == local or len(token) != _TOKEN_CHARACTERS or not token.isascii():
        return None
    try:
        raw = b32decode(token.upper())
    except DecodeError:
        return None
    payload, mac = raw[:_PAYLOAD_OCTETS], raw[_PAYLOAD_OCTETS:]
    if not hmac.compare_digest(mac, _mac(payload, key)):
        return None
    return int.from_bytes(payload[:8], "big")


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"verp\0" + payload, "sha256")[:_MAC_OCTETS]
