"""Variable envelope return paths: the address a bounce comes back to says which task it is about.

`b-<token>@domain`, where the token is task id (8 octets), attempt (2) and a keyed BLAKE2b (RFC 7693) of both (10) in
hexadecimal. No base64, because servers on the way may change the case of a local part; the MAC of 80 bits
because anyone may send to the address and must not suppress a contact.
"""

import hmac
import re
from functools import lru_cache
from hashlib import blake2b

PREFIX = "b-"
MESSAGE_PREFIX = "m-"  # of transactional messages, whose ids and key are their own
_MAC_OCTETS = 10
_PAYLOAD_OCTETS = 10
_TOKEN = re.compile(rf"[0-9a-f]{{{2 * (_PAYLOAD_OCTETS + _MAC_OCTETS)}}}")


def encode_return_path(task_id: int, attempt: int, domain: str, key: bytes, *, prefix: str = PREFIX) -> str:
    """The envelope sender of one attempt; 42 characters before the "@" (RFC 5321 4.5.3.1.1: 64)."""
    payload = task_id.to_bytes(8, "big") + (attempt & 0xFFFF).to_bytes(2, "big")
    return f"{prefix}{payload.hex()}{_mac(payload, key).hex()}@{domain}"


def decode(address: str, key: bytes, *, prefix: str = PREFIX) -> int | None:
    """The task id, or None for an address that `key` did not make. The domain may have changed since."""
    local = address.strip().removeprefix("<").partition("@")[0].lower()
    token = local.removeprefix(prefix)
    if token == local or not _TOKEN.fullmatch(token):
        return None
    raw = bytes.fromhex(token)
    payload, mac = raw[:_PAYLOAD_OCTETS], raw[_PAYLOAD_OCTETS:]
    if not hmac.compare_digest(mac, _mac(payload, key)):
        return None
    return int.from_bytes(payload[:8], "big")


def _mac(payload: bytes, key: bytes) -> bytes:
    keyed = _keyed(key).copy()
    keyed.update(payload)
    return keyed.digest()


@lru_cache(8)  # an installation has two; to copy what was keyed takes half the time
def _keyed(key: bytes) -> blake2b:
    return blake2b(key=key[:64], digest_size=_MAC_OCTETS, person=b"verp")
