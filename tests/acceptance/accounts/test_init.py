"""`mailengine init`: makes an installation, finishes one, keeps one; and leaves nothing after bad input."""

import ctypes
import os
import pty
import select
import sqlite3
import stat
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import pytest

from peers.ports import wait_until
from peers.postgres import Postgres
from support.program import PASSWORD, Program

NOBODY = 65534
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
GIVEN = {
    "--organisation": "Acme",
    "--address": "Street 1, 10115 Berlin",
    "--country": "DE",
    "--admin-email": "owner@example.org",
    "--admin-password": PASSWORD,
}


def given(**changed: str | None) -> list[str]:
    """The options of a complete call; None leaves one out."""
    options = {**GIVEN, **{"--" + name.replace("_", "-"): value for name, value in changed.items()}}
    return ["init", "--yes", *(part for pair in options.items() if pair[1] is not None for part in pair)]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "data")


def test_it_makes_a_private_directory_a_secret_and_an_owner(program: Program) -> None:
    made = program.init("Müller & Söhne")
    assert made["created"] is True
    assert made["tenant"] == "muller-sohne"
    assert made["admin"] == "owner@example.org"
    assert stat.S_IMODE(program.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((program.data_dir / "secret.key").stat().st_mode) == 0o600
    users = program.ok("user", "list", "--json").json
    assert [(user["email"], user["role"]) for user in users["items"]] == [("owner@example.org", "owner")]
    tenant = program.ok("tenant", "show", "muller-sohne", "--json").json
    assert (tenant["name"], tenant["country"]) == ("Müller & Söhne", "DE")
    assert tenant["postal_address"] == "Street 1, 10115 Berlin"
    assert PASSWORD.encode() not in (program.data_dir / "mailengine.sqlite3").read_bytes()


def without_privileges() -> None:
    """Root that may no longer read what belongs to others (Linux, prctl(2) and capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_who_cannot_read_the_directory_gets_no_link(program: Program) -> None:
    program.init()
    for path in (program.data_dir, *program.data_dir.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    ran = program.spawn("setup-link", before=without_privileges)
    assert (ran.code, ran.out) == (2, "")
    assert "is not readable" in ran.complaint


def test_a_second_run_changes_nothing(program: Program) -> None:
    program.init()
    secret = (program.data_dir / "secret.key").read_text()
    for arguments in (["init"], ["init", "--organisation", " Acme "], given()):
        again = program.ok(*arguments, "--json")
        assert again.json["created"] is False
        assert again.json["tenant"] == "acme"
    assert (program.data_dir / "secret.key").read_text() == secret
    assert program.ok("tenant", "list", "--json").json["total"] == 1


def test_another_organisation_is_refused_and_told_the_way(program: Program) -> None:
    program.init()
    ran = program.run("init", "--organisation", "Other")
    assert ran.code == 1
    assert "mailengine tenant add" in ran.complaint


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"organisation": None}, "--organisation is missing"),
        ({"address": None}, "--address is missing"),
        ({"country": None}, "--country is missing"),
        ({"admin_email": None}, "--admin-email is missing"),
        ({"admin_password": None}, "--admin-password is missing"),
        ({"organisation": "  "}, "organisation's name"),
        ({"address": " \n "}, "postal address"),
        ({"country": "Germany"}, "country code"),
        ({"admin_email": "owner"}, "not an e-mail address"),
        ({"admin_password": "short"}, "10 to 1000"),
        ({"admin_password": "owner@example.org"}, "must not be the e-mail address"),
        ({"admin_password_file": "/nowhere/password"}, "not both"),
        ({"admin_password": None, "admin_password_file": "/nowhere/password"}, "cannot read"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    program: Program, changed: dict[str, str | None], complaint: str
) -> None:
    ran = program.run(*given(**changed))
    assert ran.code == 2
    assert complaint in ran.complaint
    assert ran.out == ""
    assert not program.data_dir.exists()


def test_the_password_is_read_from_a_file_or_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    from_file = given(admin_password=None, admin_password_file=str(path))
    from_input = given(admin_password=None, admin_password_file="-")
    Program(tmp_path / "a").ok(*from_file)
    Program(tmp_path / "b").ok(*from_input, stdin=PASSWORD + "\n")
    assert Program(tmp_path / "c").run(*from_input, stdin="short\n").code == 2


def test_an_interrupted_run_is_finished_by_the_next(program: Program) -> None:
    program.init()
    secret = (program.data_dir / "secret.key").read_text()
    (program.data_dir / "mailengine.sqlite3").unlink()
    for leftover in program.data_dir.glob("mailengine.sqlite3-*"):
        leftover.unlink()
    assert program.init()["created"] is True
    assert (program.data_dir / "secret.key").read_text() == secret


def test_a_lost_secret_is_not_replaced_behind_ones_back(program: Program) -> None:
    program.init()
    (program.data_dir / "secret.key").unlink()
    ran = program.run("init")
    assert ran.code == 1
    assert "restore it from a backup" in ran.complaint
    assert not (program.data_dir / "secret.key").exists()


def test_a_secret_from_the_environment_is_checked_and_not_written(program: Program) -> None:
    ran = program.run(*given(), MAILENGINE_SECRET_KEY="abc")
    assert ran.code == 2
    assert "secret_key" in ran.complaint
    assert not program.data_dir.exists()
    program.ok(*given(), MAILENGINE_SECRET_KEY="ab" * 32)
    assert not (program.data_dir / "secret.key").exists()


def test_it_initialises_postgresql(program: Program, postgres: Postgres) -> None:
    with postgres.empty() as dsn:
        url = dsn.replace("+asyncpg", "")
        made = program.ok("--database-url", url, *given(), "--json").json
        assert made["database"].startswith("postgresql://")
        assert not (program.data_dir / "mailengine.sqlite3").exists()
        assert program.ok("--database-url", url, "init", "--json").json["created"] is False
        assert program.ok("--database-url", url, "user", "list", "--json").json["total"] == 1


def test_it_asks_a_person_and_asks_again(tmp_path: Path) -> None:
    """A real terminal: the country is wrong at first, the passwords differ at first, none is shown."""
    answers = [
        ("Organisation", "Acme"),
        ("Postal address", "Street 1, 10115 Berlin"),
        ("Country", "Atlantis"),
        ("Country", "de"),
        ("E-mail address", "owner@example.org"),
        ("Password", PASSWORD),
        ("Repeat", "something else"),
        ("Password", PASSWORD),
        ("Repeat", PASSWORD),
    ]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mailengine", "--data-dir", str(tmp_path / "data"), "init"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    for question, text in answers:
        shown += wait_for(ours, question)
        hidden = question in ("Password", "Repeat")
        wait_until(partial(echo_is, ours, not hidden), f"the echo for {question}")
        os.write(ours, text.encode() + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, shown
    assert b"acme" in out
    assert "no country code" in shown
    assert PASSWORD not in shown
    with sqlite3.connect(tmp_path / "data" / "mailengine.sqlite3") as connection:
        assert connection.execute("SELECT slug, country FROM tenants").fetchall() == [("acme", "DE")]
    connection.close()


def echo_is(terminal: int, wanted: bool) -> bool:
    """Whether what is typed is shown as wanted; it is switched a moment after the prompt stands there."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO) is wanted


def wait_for(terminal: int, text: str) -> str:
    """What the terminal shows, up to the question that contains `text`."""
    seen = ""
    while text not in seen or not seen.rstrip().endswith(":"):
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, f"{text!r} was never asked: {seen}"
        seen += os.read(terminal, 4096).decode()
    return seen
