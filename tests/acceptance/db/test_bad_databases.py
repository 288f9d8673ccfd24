"""A database that cannot serve: one clear line on stderr, exit code 1 or 2, nothing half-done."""

import ctypes
import resource
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from peers.postgres import Postgres
from support.program import Program

INIT = (
    "init", "--yes",
    "--organisation", "Acme",
    "--address", "Street 1",
    "--country", "DE",
    "--admin-email", "owner@example.org",
    "--admin-password", "correct horse",
)  # fmt: skip
WRITE = ("tenant", "add", "Other", "--address", "Street 2", "--country", "DE")
READ = ("tenant", "list")
FULL_AT_BYTES = 20_000  # less than SQLite's write-ahead log and its index need for a transaction


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "data", MAILENGINE_DATABASE_BUSY_TIMEOUT_SECONDS="0.2")
    made.init()
    return made


def database(program: Program) -> Path:
    return program.data_dir / "mailengine.sqlite3"


def tenants(program: Program) -> int:
    with closing(sqlite3.connect(database(program))) as connection:
        return int(connection.execute("SELECT count(*) FROM tenants").fetchone()[0])


def test_a_database_that_another_program_locks(program: Program) -> None:
    with closing(sqlite3.connect(database(program), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        for arguments in (WRITE, ("kill-switch", "on"), ("relay", "add", "main", "--host", "127.0.0.1")):
            ran = program.run(*arguments)
            assert (ran.code, ran.out) == (1, "")
            assert "locked by another program" in ran.complaint
        connection.execute("ROLLBACK")
    assert tenants(program) == 1


def test_a_disk_that_is_full(program: Program) -> None:
    """No file may grow: what a full disk is to SQLite, without filling one."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (FULL_AT_BYTES, resource.RLIM_INFINITY))
    ran = program.spawn("domain", "add", "example.org", before=limit)
    assert ran.code == 1
    assert "full" in ran.complaint or "disk" in ran.complaint
    assert program.ok("domain", "list", "--json").json["total"] == 0


def test_a_file_that_is_no_database(program: Program) -> None:
    for leftover in program.data_dir.glob("mailengine.sqlite3*"):
        leftover.unlink()
    database(program).write_text("Dear diary, " * 1000)
    for arguments in (READ, INIT):
        ran = program.run(*arguments)
        assert ran.code == 1
        assert "not a SQLite database" in ran.complaint
    assert database(program).read_text().startswith("Dear diary")


def test_a_damaged_database(program: Program) -> None:
    with database(program).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database(program).stat().st_size - 4096))
    ran = program.run(*READ)
    assert ran.code == 1
    assert "damaged" in ran.complaint


def test_a_database_of_a_newer_program(program: Program) -> None:
    with closing(sqlite3.connect(database(program))) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    for arguments in (READ, WRITE, INIT):
        ran = program.run(*arguments)
        assert ran.code == 1
        assert "schema 9999" in ran.complaint
    assert tenants(program) == 1


def test_a_directory_without_an_installation(tmp_path: Path) -> None:
    empty = Program(tmp_path / "nothing")
    for arguments in (READ, WRITE, ("user", "list"), ("kill-switch", "status")):
        ran = empty.run(*arguments)
        assert ran.code == 1
        assert "mailengine init" in ran.complaint
    assert not empty.data_dir.exists()


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("")
    for arguments in (INIT, READ):
        assert Program(path).run(*arguments).code == 1


def test_a_lost_database(program: Program) -> None:
    for leftover in program.data_dir.glob("mailengine.sqlite3*"):
        leftover.unlink()
    ran = program.run(*READ)
    assert (ran.code, "there is no database" in ran.complaint) == (1, True)
    assert not database(program).exists()


@pytest.mark.parametrize(
    ("url", "code", "complaint"),
    [
        ("mysql://db/mail", 2, "mysql is not supported"),
        ("mail", 2, "cannot be read"),
        ("sqlite:////nowhere/at/all.sqlite3", 1, "no such directory"),
        ("postgresql://user@127.0.0.1:1/mail", 1, "does not answer"),
        ("postgresql://user@nowhere.invalid/mail", 1, "does not answer"),
        ("postgresql://user:secret@127.0.0.1:notaport/mail", 2, "cannot be read"),
    ],
)
def test_a_url_that_leads_nowhere(tmp_path: Path, url: str, code: int, complaint: str) -> None:
    program = Program(tmp_path / "data")
    ran = program.run("--database-url", url, *INIT)
    assert ran.code == code
    assert complaint in ran.complaint
    assert "secret" not in ran.err


def test_postgresql_without_the_database_or_the_schema(program: Program, postgres: Postgres) -> None:
    gone = postgres.dsn("no_such_database")
    ran = program.run("--database-url", gone, *READ)
    assert (ran.code, "refuses the connection" in ran.complaint) == (1, True)
    with postgres.empty() as dsn:
        ran = program.run("--database-url", dsn, *READ)
        assert (ran.code, "mailengine init" in ran.complaint) == (1, True)


def obey_permissions() -> None:
    """Take from root what lets it write everywhere: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.

    They leave the bounding set (PR_CAPBSET_DROP), so that the program that is executed next lacks them.
    """
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def test_a_directory_that_cannot_be_written(program: Program) -> None:
    for leftover in program.data_dir.glob("*.sqlite3-*"):
        leftover.unlink()
    for path in program.data_dir.iterdir():
        path.chmod(0o444)
    program.data_dir.chmod(0o555)
    try:
        for arguments in (WRITE, INIT):
            ran = program.spawn(*arguments, before=obey_permissions)
            assert ran.code == 1, ran
            assert "cannot be" in ran.complaint or "read-only" in ran.complaint
        ran = Program(program.data_dir / "new").spawn(*INIT, before=obey_permissions)
        assert ran.code == 1
        assert "cannot be written" in ran.complaint
    finally:
        program.data_dir.chmod(0o755)
        for path in program.data_dir.iterdir():
            path.chmod(0o644)
    assert tenants(program) == 1
