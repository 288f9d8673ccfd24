"""One pass over the bytes of a file before anything is believed of it.

Memory stays at one chunk whatever the file is: a line of two gigabytes is refused after the first of its
megabytes. What the pass learns (encoding, whether all of it decodes) holds for the whole file, so that a bad
byte in the last line is known before the first row is stored.
"""

import stat
from codecs import getincrementaldecoder
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.domain.contacts.imports.encoding import Decoding, check_declared, guess_bytewise, guess_head

CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20  # of one physical line: more is not a contact, and must not fill the memory
_SAMPLE_BYTES = 128 * 1024  # of lines that are not ASCII, from all over the file
_STRAY_ZEROS = 3  # of damage: their rows are rejected. Programs and pictures hold more, and some at once
_MAGIC_BYTES = 32
_MAGIC = {
    b"PK\x03\x04": "is an Excel, LibreOffice or ZIP file; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel file; save the sheet as CSV",
    b"\x1f\x8b": "is compressed; unpack it first",
    b"%PDF": "is a PDF; export the contacts as CSV",
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What holds for the whole file. `lines` counts line breaks, for progress."""

    path: Path
    size_bytes: int
    modified_ns: int
    lines: int
    decoding: Decoding


def scan(path: Path, *, declared_encoding: str | None = None) -> FileFacts:
    """Raises InvalidInput for what is not a text file with lines, Unavailable when reading fails."""
    declared = check_declared(declared_encoding) if declared_encoding else None
    with opened(path) as file:
        status = path.stat()
        if status.st_size == 0:
            raise InvalidInput(f"{path}: the file is empty")
        head = file.read(4096)
        _refuse_known_formats(path, head)
        decoding = declared or guess_head(head)
        wide = decoding is not None and decoding.wide
        file.seek(0)
        walk = _Walk(path, wide=wide)
        for chunk in chunks(file):
            walk.take(chunk)
        walk.finish()
        if decoding is None or decoding.is_utf8:
            decoding = _utf8_or_bytewise(decoding, walk, file)
    return FileFacts(path, status.st_size, status.st_mtime_ns, max(walk.lines, 1), decoding)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file for reading, faults of it as errors of ours."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InvalidInput(f"{path} is a directory; give the CSV file itself")
        if not stat.S_ISREG(mode):
            raise InvalidInput(f"{path} is not a regular file; it is read twice, so save it as one first")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise InvalidInput(f"{path}: there is no such file") from error
    except PermissionError as error:
        raise InvalidInput(f"{path} cannot be read: permission denied") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror or error}") from error


def chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _refuse_known_formats(path: Path, head: bytes) -> None:
    for magic, remedy in _MAGIC.items():
        if head.startswith(magic):
            raise InvalidInput(f"{path} {remedy}")


@dataclass(slots=True)
class _Walk:
    """What is counted while the chunks go by."""

    path: Path
    wide: bool  # UTF-16 or UTF-32: zero bytes are part of the text
    lines: int = 0
    returns: int = 0
    zero_bytes: int = 0
    seen_bytes: int = 0
    invalid_bytes: int = 0
    high_bytes: int = 0
    open_bytes: int = 0  # of the line that the last chunk left unfinished
    pending: bytes = b""  # the beginning of a UTF-8 sequence that the chunk cut

    def take(self, chunk: bytes) -> None:
        if not self.wide:
            self._count_zeros(chunk)
        self._measure_lines(chunk)
        if not self.wide and not (chunk.isascii() and not self.pending):
            self._check_utf8(chunk)
        self.lines += chunk.count(b"\n")
        self.returns += chunk.count(b"\r")

    def finish(self) -> None:
        self.invalid_bytes += len(self.pending)
        self.lines = self.lines or self.returns  # files of old Macs end their lines with CR alone

    def _count_zeros(self, chunk: bytes) -> None:
        at_once = not self.seen_bytes and b"\x00" in chunk[:_MAGIC_BYTES]
        self.seen_bytes += len(chunk)
        self.zero_bytes += chunk.count(b"\x00")
        if at_once or self.zero_bytes > max(_STRAY_ZEROS, self.seen_bytes >> 10):
            raise InvalidInput(f"{self.path} is not a text file: it holds zero bytes")

    def _measure_lines(self, chunk: bytes) -> None:
        breaks = [place for place in (chunk.find(b"\n"), chunk.find(b"\r")) if place >= 0]
        self.open_bytes += min(breaks, default=len(chunk))
        if self.open_bytes > MAX_LINE_BYTES:
            number = max(self.lines, self.returns) + 1
            raise InvalidInput(
                f"{self.path}: line {number} is longer than {MAX_LINE_BYTES >> 20} MiB; "
                "that is not a file of contacts, or its line breaks are missing"
            )
        if breaks:
            self.open_bytes = len(chunk) - 1 - max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))

    def _check_utf8(self, chunk: bytes) -> None:
        decoder = getincrementaldecoder("utf-8")("strict")
        joined = self.pending + chunk
        self.high_bytes += len(joined.translate(None, _ASCII))
        try:
            decoder.decode(joined)
            self.pending = decoder.getstate()[0]
        except UnicodeDecodeError:
            # "ignore" drops each byte that is part of no character: what is missing then was invalid.
            self.invalid_bytes += len(joined) - len(joined.decode("utf-8", "ignore").encode())
            self.pending = b""


_ASCII = bytes(range(128))


def _utf8_or_bytewise(known: Decoding | None, walk: _Walk, file: BinaryIO) -> Decoding:
    name = known.codec if known else "utf-8"
    if walk.invalid_bytes == 0:
        return Decoding(name, clean=walk.zero_bytes == 0)
    # Mostly valid sequences: UTF-8 with damage, and the damaged rows are reported. Else another encoding.
    if known is not None or walk.invalid_bytes * 10 <= walk.high_bytes:
        return Decoding(name, clean=False)
    return guess_bytewise(_sample(file))


def _sample(file: BinaryIO) -> bytes:
    """Lines that are not ASCII, from every part of the file: its head may be plain for a million lines."""
    file.seek(0)
    found: list[bytes] = []
    room = _SAMPLE_BYTES
    for chunk in chunks(file):
        lines = [line[:1024] for line in chunk.splitlines() if not line.isascii()]
        taken = lines[: max(room // 512, 0)]
        found += taken
        room -= sum(map(len, taken))
    return b"\n".join(found)[:_SAMPLE_BYTES]
