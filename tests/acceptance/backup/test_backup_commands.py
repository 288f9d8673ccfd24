"""`backup` and `restore` by their commands, on SQLite: what comes back, what is refused, what stays."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from support.installation import Installation, install
from support.integrity import assert_integrity
from support.program import Program

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = install(tmp_path_factory.mktemp("backup"), 1)
    (made.data_dir / "media").mkdir()
    (made.data_dir / "media" / "logo.png").write_bytes(b"PNG")
    return made


@pytest.fixture
def backup(original: Installation, tmp_path: Path) -> Path:
    original.ok("backup", str(tmp_path / "a.backup"))
    return tmp_path / "a.backup"


def test_everything_comes_back(original: Installation, backup: Path, tmp_path: Path) -> None:
    other = Program(tmp_path / "other", MAILENGINE_TENANT="acme")
    ran = other.ok("restore", str(backup), "--json")
    assert ran.json["in_doubt"] == 0
    assert "All sending is off" in ran.err
    assert other.ok("contacts", "list", "--json").json["total"] == 3
    assert (
        other.ok("template", "show", "Newsletter", "--json").json
        == original.ok("template", "show", "Newsletter", "--json").json
    )
    assert (other.data_dir / "media" / "logo.png").read_bytes() == b"PNG"
    secret = other.data_dir / "secret.key"
    assert secret.read_text() == (original.data_dir / "secret.key").read_text()
    assert secret.stat().st_mode & 0o077 == 0
    assert other.ok("doctor", "--offline", "--json").json["healthy"] is True
    assert_integrity(f"sqlite+aiosqlite:///{other.data_dir / 'mailengine.sqlite3'}")


def test_it_asks_no_network_and_says_what_it_wrote(original: Installation, tmp_path: Path) -> None:
    ran = original.ok("backup", str(tmp_path / "x"), "--json")
    assert (ran.json["contacts"], ran.json["verified"], ran.json["encrypted"]) == (3, True, False)
    assert "not encrypted" in ran.err
    assert (tmp_path / "x").stat().st_mode & 0o077 == 0


def test_encrypted(original: Installation, tmp_path: Path) -> None:
    file = tmp_path / "sealed"
    original.ok("backup", str(file), "--passphrase-file", "-", stdin=PASSPHRASE + "\n")
    assert b"ann@example.net" not in file.read_bytes()
    other = Program(tmp_path / "other")
    assert "is encrypted" in other.run("restore", str(file)).complaint
    wrong = other.run("restore", str(file), "--passphrase-file", "-", stdin="another passphrase")
    assert (wrong.code, "passphrase is wrong" in wrong.complaint) == (2, True)
    assert not (other.data_dir / "mailengine.sqlite3").exists()
    other.ok("restore", str(file), "--passphrase-file", "-", stdin=PASSPHRASE)
    assert other.ok("contacts", "list", "--json", MAILENGINE_TENANT="acme").json["total"] == 3


def test_a_short_passphrase_and_a_file_that_is_there_are_refused(
    original: Installation, backup: Path
) -> None:
    short = original.run("backup", str(backup.with_name("b")), "--passphrase-file", "-", stdin="short")
    assert short.code == 2
    assert not backup.with_name("b").exists()
    before = backup.read_bytes()
    assert original.run("backup", str(backup)).code == 1
    assert backup.read_bytes() == before
    assert original.run("backup", str(backup.parent / "no" / "where")).code == 2


def test_rotation_keeps_the_newest_and_nothing_else_is_touched(
    original: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for year in range(2020, 2024):
        (folder / f"mailengine-{year}0101T000000Z.backup").write_text("old")
    ran = original.ok("backup", str(folder), "--keep", "2", "--json")
    assert len(ran.json["removed"]) == 3
    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == "mailengine-20230101T000000Z.backup"
    assert len(names) == 3
    assert "notes.txt" in names


def test_restore_overwrites_only_when_asked(original: Installation, backup: Path, tmp_path: Path) -> None:
    other = Program(tmp_path / "other", MAILENGINE_TENANT="acme")
    other.init("Acme")
    assert "--overwrite" in other.run("restore", str(backup)).complaint
    assert other.ok("contacts", "list", "--json").json["total"] == 0
    unasked = other.run("restore", str(backup), "--overwrite")
    assert (unasked.code, "--yes" in unasked.complaint) == (2, True)
    ran = other.ok("restore", str(backup), "--overwrite", "--yes", "--json")
    assert other.ok("contacts", "list", "--json").json["total"] == 3
    kept = Path(ran.json["replaced"])
    with sqlite3.connect(kept) as connection:
        assert connection.execute("SELECT count(*) FROM contacts").fetchone() == (0,)
    connection.close()


def test_a_damaged_installation_can_be_overwritten(backup: Path, tmp_path: Path) -> None:
    other = Program(tmp_path / "other", MAILENGINE_TENANT="acme")
    other.init("Acme")
    (other.data_dir / "mailengine.sqlite3").write_bytes(b"no database" * 1000)
    (other.data_dir / "mailengine.sqlite3-wal").write_bytes(b"garbage")
    other.ok("restore", str(backup), "--overwrite", "--yes")
    assert other.ok("contacts", "list", "--json").json["total"] == 3


def test_a_file_in_use_is_refused(backup: Path, tmp_path: Path) -> None:
    other = Program(tmp_path / "other")
    other.init("Acme")
    connection = sqlite3.connect(other.data_dir / "mailengine.sqlite3", isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM contacts").fetchone()
    try:
        ran = other.run(
            "restore", str(backup), "--overwrite", "--yes", MAILENGINE_DATABASE_BUSY_TIMEOUT_SECONDS="0.1"
        )
    finally:
        connection.close()
    assert ran.code == 1
    assert other.ok("contacts", "list", "--json").json["total"] == 0


def test_a_damaged_backup_changes_nothing(backup: Path, tmp_path: Path) -> None:
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 0xFF
    backup.write_bytes(content)
    other = Program(tmp_path / "other")
    ran = other.run("restore", str(backup))
    assert ran.code == 2
    assert not [path for path in other.data_dir.rglob("*") if path.is_file()]


def test_a_full_disk_leaves_no_half_backup(original: Installation, tmp_path: Path) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    ran = original.spawn("backup", str(tmp_path / "a.backup"), before=small_files)
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_kind_is_refused(backup: Path, tmp_path: Path, postgres_dsn: str) -> None:
    other = Program(tmp_path / "other", MAILENGINE_DATABASE_URL=postgres_dsn)
    assert "not empty" in other.run("restore", str(backup)).complaint
    ran = other.run("restore", str(backup), "--overwrite", "--yes")
    assert (ran.code, "migrate-database" in ran.complaint) == (2, True)


def test_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    ran = Program(tmp_path / "nothing").run("backup", str(tmp_path / "a"))
    assert ran.code == 1
    assert "init" in ran.complaint
    shutil.rmtree(tmp_path / "nothing", ignore_errors=True)
