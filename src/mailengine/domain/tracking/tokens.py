"""The signed token in every link of a message: which task of which tenant, for which purpose.

Checked without a database, so a pixel or click can be answered at once. Two purposes, two MACs: `track`
stands in links that third parties see (redirect targets, link scanners), `manage` in the links that change a
subscription or show the message; one cannot be made from the other.

Layout: task id (8 bytes) | tenant id (4 bytes) | keyed BLAKE2b of both and the purpose (10 bytes), base64url.
"""

import base64
import hashlib
import hmac
import struct
from binascii import b2a_base64
from dataclasses import dataclass
from enum import Enum

from mailengine.core.ids import TaskId, TenantId
from mailengine.core.secrets import Keyring

_IDS = struct.Struct(">QI")
_MAC_BYTES = 10  # 80 bits: an online guess per link, forged once in 10^24
TOKEN_CHARS = 30
_FILLING = bytes(-(_IDS.size + _MAC_BYTES) % 3)  # so that the next token begins with a character of its own
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Purpose(Enum):
    TRACK = b"track"
    MANAGE = b"manage"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a token stands for."""

    task_id: TaskId
    tenant_id: TenantId


class TokenSigner:
    """Makes and checks tokens; about 2 µs each."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyed = {
            purpose: [
                hashlib.blake2b(key=key, digest_size=_MAC_BYTES, person=purpose.value)
                for key in keyring.derive_all("link tokens")  # an older key made links that are in inboxes
            ]
            for purpose in Purpose
        }

    def sign(self, task_id: int, tenant_id: int, purpose: Purpose) -> str:
        ids = _IDS.pack(task_id, tenant_id)
        return _encode(ids + _mac(self._keyed[purpose][0], ids))

    def sign_for_message(self, task_id: int, tenant_id: int) -> tuple[str, str]:
        """A message's two tokens, for MANAGE and for TRACK, in two thirds of the time that `sign` takes for both."""
        ids = _IDS.pack(task_id, tenant_id)
        manage, track = _mac(self._keyed[Purpose.MANAGE][0], ids), _mac(self._keyed[Purpose.TRACK][0], ids)
        both = _encode(b"%s%s%s%s%s" % (ids, manage, _FILLING, ids, track))
        return both[:TOKEN_CHARS], both[-TOKEN_CHARS:]

    def read(self, token: str, purpose: Purpose) -> Recipient | None:
        """Whom the token was made for, None for anything that this installation did not sign."""
        if len(token) != TOKEN_CHARS or not token.isascii():
            return None
        try:
            decoded = base64.b64decode(token + "==", altchars=b"-_", validate=True)
        except ValueError:
            return None
        if _encode(decoded) != token:  # the last character has spare bits: one token, one spelling
            return None
        ids, mac = decoded[: _IDS.size], decoded[_IDS.size :]
        if not any(hmac.compare_digest(mac, _mac(keyed, ids)) for keyed in self._keyed[purpose]):
            return None
        task_id, tenant_id = _IDS.unpack(ids)
        return Recipient(TaskId(task_id), TenantId(tenant_id))


def _mac(keyed: "hashlib.blake2b", ids: bytes) -> bytes:
    digest = keyed.copy()
    digest.update(ids)
    return digest.digest()


def _encode(raw: bytes) -> str:
    """base64url without padding; a fifth of the time that the functions of `base64` take."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")
