"""A stream under a passphrase: scrypt (RFC 7914) makes the key, AES-256-GCM seals it chunk by chunk.

The nonce of a chunk is `prefix | counter | last`, the STREAM construction (Hoang, Reyhanitabar, Rogaway and
Vizár, CRYPTO 2015), so that chunks cannot be changed, left out, put in another order or cut off at the end
without being noticed, and no more than one chunk is ever in memory.

Format: magic | log2 of scrypt's n (1 byte) | salt (16) | prefix (7) | chunks of 64 KiB and a tag, the last shorter.
"""

import io
import secrets
import struct
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mailengine.core.errors import InvalidInput

MAGIC = b"MEseal01"
MIN_PASSPHRASE_CHARS = 12
_CHUNK_BYTES = 64 * 1024
_TAG_BYTES = 16
_SALT_BYTES = 16
_PREFIX_BYTES = 7
_SCRYPT_LOG2_N = 16  # 64 MB and 0.2 s a guess
_MOST_LOG2_N = 20  # a header that asks for more is an attack on our memory
_BROKEN = "the passphrase is wrong, or the file was damaged or changed"


def check_passphrase(text: str) -> str:
    """Raise InvalidInput for one that a thief of the file would guess."""
    if len(text) < MIN_PASSPHRASE_CHARS:
        raise InvalidInput(f"a backup's passphrase needs at least {MIN_PASSPHRASE_CHARS} characters")
    return text


class SealedWriter(io.RawIOBase):
    """Seals what is written to it into `sink`; `close` writes the last chunk and leaves `sink` open."""

    def __init__(self, sink: IO[bytes], passphrase: str) -> None:
        salt, self._prefix = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_PREFIX_BYTES)
        self._header = MAGIC + bytes([_SCRYPT_LOG2_N]) + salt + self._prefix
        self._cipher = AESGCM(_key(passphrase, salt, _SCRYPT_LOG2_N))
        self._sink, self._counter, self._pending = sink, 0, bytearray()
        sink.write(self._header)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # any buffer
        self._pending += data
        while len(self._pending) > _CHUNK_BYTES:  # the last chunk is known only at the end
            self._seal(bytes(self._pending[:_CHUNK_BYTES]), last=False)
            del self._pending[:_CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._seal(bytes(self._pending), last=True)
        super().close()

    def _seal(self, plain: bytes, *, last: bool) -> None:
        nonce = _nonce(self._prefix, self._counter, last=last)
        self._sink.write(self._cipher.encrypt(nonce, plain, self._header))
        self._counter += 1


class SealedReader(io.RawIOBase):
    """Opens what a `SealedWriter` wrote; raises InvalidInput at the first chunk that is not as it was written."""

    def __init__(self, source: IO[bytes], passphrase: str) -> None:
        header = source.read(len(MAGIC) + 1 + _SALT_BYTES + _PREFIX_BYTES)
        log2_n = header[len(MAGIC)] if len(header) > len(MAGIC) + _SALT_BYTES else 0
        if not header.startswith(MAGIC) or not 1 <= log2_n <= _MOST_LOG2_N:
            raise InvalidInput(_BROKEN)
        salt = header[len(MAGIC) + 1 : -_PREFIX_BYTES]
        self._header, self._prefix = header, header[-_PREFIX_BYTES:]
        self._cipher = AESGCM(_key(passphrase, salt, log2_n))
        self._source, self._counter, self._plain, self._last = source, 0, b"", False
        self._ahead = source.read(_CHUNK_BYTES + _TAG_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]  # any buffer
        while not self._plain and not self._last:
            self._open_next()
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _open_next(self) -> None:
        sealed, self._ahead = self._ahead, self._source.read(_CHUNK_BYTES + _TAG_BYTES)
        self._last = not self._ahead
        try:
            nonce = _nonce(self._prefix, self._counter, last=self._last)
            self._plain = self._cipher.decrypt(nonce, sealed, self._header)
        except (InvalidTag, ValueError) as error:
            raise InvalidInput(_BROKEN) from error
        self._counter += 1


def _nonce(prefix: bytes, counter: int, *, last: bool) -> bytes:
    return prefix + struct.pack(">IB", counter, last)


def _key(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**log2_n, r=8, p=1).derive(passphrase.encode())
