"""The file of a backup: a tar of a manifest and the members that it names, compressed, sealed where asked.

Invariants: the file has its name only when it was written to the end, read again and found to be what the manifest
says; nobody but its owner may read it (it holds the secret); a member is trusted only for the name that
the manifest gives it, never for a path of its own.
"""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from mailengine.backup.sealed import MAGIC, SealedReader, SealedWriter
from mailengine.core.errors import InvalidInput, MailengineError

FORMAT = 1
DATABASE = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
SECRET = "secret.key"  # noqa: S105  # a member's name
SETTINGS = "settings.toml"
FILES = "files/"
_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 50_000_000  # a manifest that fills the memory is no manifest
_COMPRESSION = 3  # a third faster than 6 for a few percent more
_BLOCK_BYTES = 1 << 20


class Member(msgspec.Struct, frozen=True):
    """What the manifest promises of one member."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What the backup is of; `counts` are the rows of each table."""

    format: int
    version: str
    taken_at: str
    database: str
    schema: str
    counts: dict[str, int]
    members: dict[str, Member]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that becomes the member `name`."""

    name: str
    path: Path


Describe = Callable[[dict[str, Member]], Manifest]


def write(target: Path, sources: Sequence[Source], describe: Describe, passphrase: str | None) -> Manifest:
    """Write, read again, and only then give the file its name. Raises OSError, InvalidInput."""
    manifest = describe({source.name: _member(source.path) for source in sources})
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write(draft, sources, manifest, passphrase)
        verify(draft, passphrase)
        draft.replace(target)
        _sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _write(draft: Path, sources: Sequence[Source], manifest: Manifest, passphrase: str | None) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with ExitStack() as layers:
            sink: IO[bytes] = file
            if passphrase is not None:
                sink = layers.enter_context(_buffered(SealedWriter(file, passphrase)))
            packed = gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=_COMPRESSION, filename="", mtime=0)
            layers.enter_context(packed)
            _add(layers.enter_context(tarfile.open(fileobj=packed, mode="w|")), sources, manifest)
        file.flush()
        os.fsync(file.fileno())


def _buffered(raw: io.RawIOBase) -> io.BufferedWriter:
    return io.BufferedWriter(raw, _BLOCK_BYTES)


def _unsealed(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, _BLOCK_BYTES)


def _add(tar: tarfile.TarFile, sources: Sequence[Source], manifest: Manifest) -> None:
    described = msgspec.json.format(msgspec.json.encode(manifest))
    head = tarfile.TarInfo(_MANIFEST)
    head.size, head.mode = len(described), 0o600
    tar.addfile(head, io.BytesIO(described))
    for source in sources:
        info = tarfile.TarInfo(source.name)
        info.size, info.mode = manifest.members[source.name].size, 0o600
        with source.path.open("rb") as content:
            tar.addfile(info, content)


def _member(path: Path) -> Member:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
        return Member(content.tell(), digest.hexdigest())


def _sync(folder: Path) -> None:
    """The name survives a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_sealed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def verify(path: Path, passphrase: str | None) -> Manifest:
    """Read everything and hold it against the manifest; raises InvalidInput where it differs."""
    return _walk(path, passphrase, lambda _name: None)


def unpack(path: Path, passphrase: str | None, folder: Path) -> Manifest:
    """As `verify`, and leave every member below `folder`, which must be ours alone."""
    return _walk(path, passphrase, lambda name: folder / name)


def _walk(path: Path, passphrase: str | None, place: Callable[[str], Path | None]) -> Manifest:
    with _reading(path, passphrase) as tar:
        manifest = _manifest(tar, tar.next())
        missing = dict(manifest.members)
        while (info := tar.next()) is not None:  # iterating would begin with the manifest again
            promised = missing.pop(info.name, None)
            content = tar.extractfile(info)
            if promised is None or content is None or _copy(content, place(info.name)) != promised:
                raise InvalidInput(f"{path}: {info.name} is not what the backup's manifest says")
    if missing:
        raise InvalidInput(f"{path}: {min(missing)} is missing; the backup is not whole")
    return manifest


def _copy(content: IO[bytes], target: Path | None) -> Member:
    digest, size = hashlib.sha256(), 0
    with ExitStack() as open_files:
        file = None
        if target is not None:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            file = open_files.enter_context(os.fdopen(descriptor, "wb"))
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            if file is not None:
                file.write(block)
    return Member(size, digest.hexdigest())


def _manifest(tar: tarfile.TarFile, info: tarfile.TarInfo | None) -> Manifest:
    content = tar.extractfile(info) if info is not None and info.name == _MANIFEST else None
    if info is None or content is None or info.size > _MOST_MANIFEST_BYTES:
        raise InvalidInput("this is no backup of mailengine")
    manifest = msgspec.json.decode(content.read(), type=Manifest)
    if manifest.format != FORMAT or manifest.database not in DATABASE:
        raise InvalidInput(f"the backup has format {manifest.format}, which this version does not know")
    for name in manifest.members:
        _check_name(name)
    return manifest


def _check_name(name: str) -> None:
    """A manifest that was made up must not write outside its folder."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or str(parts) != name or "\x00" in name:
        raise InvalidInput(f"the backup names {name!r}, which is no name of a member")


@contextmanager
def _reading(path: Path, passphrase: str | None) -> Iterator[tarfile.TarFile]:
    with ExitStack() as layers:
        source: IO[bytes] = layers.enter_context(path.open("rb"))
        if is_sealed(path):
            if passphrase is None:
                raise InvalidInput(f"{path} is encrypted; give its passphrase with --passphrase-file")
            source = layers.enter_context(_unsealed(SealedReader(source, passphrase)))
        try:
            packed = layers.enter_context(gzip.GzipFile(fileobj=source, mode="rb"))
            yield layers.enter_context(tarfile.open(fileobj=packed, mode="r|"))
            while packed.read(_BLOCK_BYTES):
                pass  # the checksum of it all stands behind the last block
        except MailengineError:
            raise
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, msgspec.DecodeError, ValueError) as error:
            raise InvalidInput(f"{path}: this is no whole backup of mailengine ({error})") from error
