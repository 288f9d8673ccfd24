"""An archive is believed only where it is what its manifest says, and never writes outside its folder."""

import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from mailengine.backup import archive
from mailengine.backup.archive import Manifest, Member, Source
from mailengine.core.errors import InvalidInput


def described(members: dict[str, Member], **changes: object) -> Manifest:
    values = {"format": 1, "version": "1", "taken_at": "2026-11-25T12:00:00+00:00", "database": "sqlite"}
    return Manifest(**{**values, "schema": "0001", "counts": {}, "members": members, **changes})  # type: ignore[arg-type]


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    (tmp_path / "one").write_bytes(b"one" * 100_000)
    (tmp_path / "two").write_bytes(b"")
    return [Source("database.sqlite3", tmp_path / "one"), Source("files/a/b.png", tmp_path / "two")]


def forged(path: Path, entries: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("passphrase", [None, "correct horse battery"])
def test_what_was_written_comes_back(tmp_path: Path, sources: list[Source], passphrase: str | None) -> None:
    target = tmp_path / "a.backup"
    made = archive.write(target, sources, described, passphrase)
    assert target.stat().st_mode & 0o077 == 0
    assert archive.unpack(target, passphrase, tmp_path / "out") == made
    assert (tmp_path / "out/database.sqlite3").read_bytes() == b"one" * 100_000
    assert (tmp_path / "out/files/a/b.png").read_bytes() == b""
    assert archive.is_sealed(target) is (passphrase is not None)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    gone = [Source("x", tmp_path / "not there")]
    with pytest.raises(FileNotFoundError):
        archive.write(tmp_path / "a.backup", gone, described, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a//b", "./a"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    manifest = described({name: Member(1, "0" * 64)})
    path = forged(tmp_path / "a.backup", {"manifest.json": msgspec.json.encode(manifest), name: b"x"})
    with pytest.raises(InvalidInput, match="no name of a member"):
        archive.unpack(path, None, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


def test_a_member_that_differs_is_refused(tmp_path: Path) -> None:
    manifest = msgspec.json.encode(described({"a": Member(1, "0" * 64)}))
    for number, entries in enumerate(
        (
            {"manifest.json": manifest, "a": b"x"},
            {"manifest.json": manifest},
            {"manifest.json": manifest, "b": b"x"},
        )
    ):
        path = forged(tmp_path / f"{number}.backup", entries)
        with pytest.raises(InvalidInput):
            archive.verify(path, None)


def test_a_link_is_no_member(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    manifest = msgspec.json.encode(described({"a": Member(0, "0" * 64)}))
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(manifest)
        tar.addfile(info, io.BytesIO(manifest))
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(InvalidInput):
        archive.unpack(path, None, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b" + b"x" * 50, b"MEseal01"], ids=repr)
def test_what_is_no_backup_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.backup"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        archive.verify(path, "correct horse battery")


def test_cut_off_anywhere(tmp_path: Path, sources: list[Source]) -> None:
    target = tmp_path / "a.backup"
    archive.write(target, sources, described, None)
    content = target.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 20)):
        target.write_bytes(content[:length])
        with pytest.raises(InvalidInput):
            archive.verify(target, None)


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = forged(tmp_path / "a.backup", {"manifest.json": msgspec.json.encode(described({}, format=9))})
    with pytest.raises(InvalidInput, match="format 9"):
        archive.verify(path, None)
