"""The installation's secret and what is derived from it: token keys and sealed values.

The secret is 32 random bytes, made at `init` in `<data_dir>/secret.key` (mode 0600), or given by the setting
`secret_key` where several machines share one database. Losing it makes sealed passwords and all links that
were sent unusable, so it belongs into every backup.

A file may hold several, one a line: the first seals and signs, the others only open and check what they made
before (`mailengine config rotate-key`). `hash:…` is the one that hashes are made with: a hash cannot be made anew
when what was hashed is gone, so it stays what it was.
"""

import base64
import os
import secrets as _random
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailengine.core.errors import InvalidInput, Unavailable

_KEY_BYTES = 32
_NONCE_BYTES = 12
_HASHING = "hash:"


class Keyring:
    """Derives one key per purpose (HKDF, RFC 5869) and seals short secrets (AES-256-GCM)."""

    def __init__(self, secret: bytes, *older: bytes, hashing: bytes | None = None) -> None:
        self._secrets = (secret, *older)
        self._hashing = hashing or secret
        if any(len(each) < _KEY_BYTES for each in (*self._secrets, self._hashing)):
            raise InvalidInput("the installation's secret is too short; it must hold 32 random bytes in hex")

    def __repr__(self) -> str:
        return "Keyring(…)"

    def derive(self, purpose: str) -> bytes:
        """32 bytes that only this installation and this purpose share; after a rotation they are others."""
        return _derive(self._secrets[0], purpose)

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """The same of every secret, the present one first: to check what an older one signed."""
        return tuple(_derive(secret, purpose) for secret in self._secrets)

    def derive_for_ever(self, purpose: str) -> bytes:
        """32 bytes that no rotation changes: for hashes of what is not kept."""
        return _derive(self._hashing, purpose)

    def seal(self, plain: bytes, purpose: str) -> str:
        """Encrypt for storage in the database; `purpose` must be given again to open."""
        nonce = _random.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.derive("seal:" + purpose)).encrypt(nonce, plain, None)
        return base64.b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, purpose: str) -> bytes:
        """Undo `seal`; raises Unavailable when the installation's secret is another one."""
        raw = base64.b64decode(sealed)
        for key in self.derive_all("seal:" + purpose):
            with suppress(InvalidTag):
                return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        raise Unavailable(
            f"the stored {purpose} was sealed with another secret; restore secret.key or set it again"
        )

    @property
    def rotated(self) -> bool:
        """Whether older secrets are still accepted."""
        return len(self._secrets) > 1

    def with_new_secret(self) -> str:
        """What the file holds after a rotation."""
        return _written((_random.token_bytes(_KEY_BYTES), *self._secrets), self._hashing)

    def without_older(self) -> str:
        """What the file holds when nothing sealed or signed before the last rotation is accepted any more."""
        return _written(self._secrets[:1], self._hashing)

    def text(self) -> str:
        """The secrets as their file has them."""
        return _written(self._secrets, self._hashing)


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(secret)


def _written(secrets: tuple[bytes, ...], hashing: bytes) -> str:
    lines = [secret.hex() for secret in secrets]
    return "\n".join([*lines, *([_HASHING + hashing.hex()] if hashing != secrets[0] else [])]) + "\n"


def create_secret(path: Path) -> None:
    """Write a new secret with mode 0600; never overwrites one."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(_random.token_hex(_KEY_BYTES) + "\n")


def replace_secret(path: Path, text: str) -> None:
    """Write the file anew (mode 0600): after a power cut it is the old one or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_keyring(path: Path, configured: str | None) -> Keyring:
    """The secrets from the setting, else from the file; raises Unavailable when there are none."""
    text = configured
    if text is None:
        try:
            text = path.read_text()
        except FileNotFoundError as error:
            raise Unavailable(f"{path} is missing; run `mailengine init` first") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise Unavailable(f"{path} cannot be read: {reason}; check --data-dir") from error
    words = text.split()
    try:
        found = [bytes.fromhex(word) for word in words if not word.startswith(_HASHING)]
        hashing = [bytes.fromhex(word.removeprefix(_HASHING)) for word in words if word.startswith(_HASHING)]
    except ValueError as error:
        raise InvalidInput("secret_key must be 64 hexadecimal digits") from error
    if not found or len(hashing) > 1:
        raise InvalidInput("secret_key must be 64 hexadecimal digits, or several such words")
    return Keyring(*found, hashing=hashing[0] if hashing else None)
