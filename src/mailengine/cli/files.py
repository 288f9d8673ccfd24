"""Text that a command reads from a file or from standard input (`-`), or writes into a new file."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mailengine.core.errors import InvalidInput

MAX_BYTES = 2_000_000  # what can be saved; read no more of a file that was named by mistake


def read_text(path: Path, *, what: str = "template") -> str:
    """The file's text; raises InvalidInput when it cannot be read, is empty, too large or no text."""
    name = "standard input" if str(path) == "-" else str(path)
    try:
        raw = _read(path)
    except OSError as error:
        raise InvalidInput(f"cannot read {name}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise InvalidInput(
            f"{name} is too large for a {what}: at most {MAX_BYTES // 1_000_000} MB can be saved"
        )
    text = _decoded(raw, name, what)
    if not text.strip():
        raise InvalidInput(f"{name} is empty; a {what} needs some content")
    return text


@contextmanager
def new_file(path: Path | None) -> Iterator[TextIO]:
    """A new file that only its owner may read, or standard output for None; raises InvalidInput where there is
    one already. A file that could not be finished is taken away."""
    if path is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InvalidInput(f"{path} is there already; choose another --output") from error
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def copy_new(source: Path, to: Path) -> int:
    """Copy a file to where there is none yet, readable for its owner only; returns its size."""
    try:
        with source.open("rb") as content, open(to, "xb", opener=_private) as file:  # its opener
            shutil.copyfileobj(content, file)
            return file.tell()
    except FileExistsError as error:
        raise InvalidInput(f"{to} is there already; choose another --output") from error
    except OSError as error:
        raise InvalidInput(f"cannot write {to}: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decoded(raw: bytes, name: str, what: str) -> str:
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not text in UTF-8; save the {what} as UTF-8") from error
    if "\x00" in text:
        raise InvalidInput(f"{name} is a binary file, not a {what}")
    return text
