"""The installation's secret and what is derived from it: token keys and sealed values.

The secret is 32 random bytes, made at `init` in `<data_dir>/secret.key` (mode 0600), or given by the setting
`secret_key` where several machines share one database. Losing it makes sealed passwords and all links that
were sent unusable, so it belongs into every backup.
"""

import base64
import os
import secrets as _random
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailengine.core.errors import InvalidInput, Unavailable

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Keyring:
    """Derives one key per purpose (HKDF, RFC 5869) and seals short secrets (AES-256-GCM)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _KEY_BYTES:
            raise InvalidInput("the installation's secret is too short; it must hold 32 random bytes in hex")
        self._secret = secret

    def __repr__(self) -> str:
        return "Keyring(…)"

    def derive(self, purpose: str) -> bytes:
        """32 bytes that only this installation and this purpose share."""
        return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(self._secret)

    def seal(self, plain: bytes, purpose: str) -> str:
        """Encrypt for storage in the database; `purpose` must be given again to open."""
        nonce = _random.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.derive("seal:" + purpose)).encrypt(nonce, plain, None)
        return base64.b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, purpose: str) -> bytes:
        """Undo `seal`; raises Unavailable when the installation's secret is another one."""
        raw = base64.b64decode(sealed)
        try:
            return AESGCM(self.derive("seal:" + purpose)).decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None
            )
        except InvalidTag as error:
            raise Unavailable(
                f"the stored {purpose} was sealed with another secret; restore secret.key or set it again"
            ) from error


def create_secret(path: Path) -> None:
    """Write a new secret with mode 0600; never overwrites one."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(_random.token_hex(_KEY_BYTES) + "\n")


def load_secret(path: Path, configured: str | None) -> bytes:
    """The secret from the setting, else from the file; raises Unavailable when there is none."""
    text = configured
    if text is None:
        try:
            text = path.read_text()
        except FileNotFoundError as error:
            raise Unavailable(f"{path} is missing; run `mailengine init` first") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise Unavailable(f"{path} cannot be read: {reason}; check --data-dir") from error
    try:
        return bytes.fromhex(text.strip())
    except ValueError as error:
        raise InvalidInput("secret_key must be 64 hexadecimal digits") from error
