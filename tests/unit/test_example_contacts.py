"""The example contact files are what their script writes, and hold what they promise."""

import csv
import runpy
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RESERVED = ("example.org", "example.com", "example.net", ".example", ".test")
SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "HIRAGANA", "HANGUL", "CJK", "DEVANAGARI")
made = runpy.run_path(str(EXAMPLES / "make_contacts.py"))


def records(name: str, encoding: str, delimiter: str) -> list[list[str]]:
    with (EXAMPLES / name).open(encoding=encoding, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def contacts() -> list[list[str]]:
    header, *rows = records("contacts.csv", "utf-8", ",")
    assert header == made["HEADER"]
    return rows


def key(row: list[str]) -> str | None:
    """What makes two rows one contact; None for a bad row. Apart from the program's own rule."""
    if len(row) != len(made["HEADER"]):
        return None
    try:
        found = validate_email(row[0], check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return f"{unicodedata.normalize('NFKC', found.local_part).casefold()}@{found.ascii_domain}"


@pytest.mark.parametrize("name", made["files"]())
def test_each_file_is_what_the_script_writes(name: str) -> None:
    assert (EXAMPLES / name).read_bytes() == made["files"]()[name]


def test_contacts_hold_the_promised_records(contacts: list[list[str]]) -> None:
    keys = Counter(map(key, contacts))
    assert len(contacts) == 1000
    assert keys.pop(None) == made["BAD"]
    assert sum(keys.values()) - len(keys) == made["DUPLICATES"]
    exact = Counter(row[0] for row in contacts if key(row))
    assert sum(exact.values()) - len(exact) == 5


def test_contacts_are_of_many_countries_and_scripts(contacts: list[list[str]]) -> None:
    names = "".join(f"{row[1]}{row[2]}{row[4]}" for row in contacts)
    found = {unicodedata.name(letter).split()[0] for letter in names if letter.isalpha()}
    assert set(SCRIPTS) <= found
    assert len({row[3] for row in contacts}) > 30
    assert any("\n" in cell for row in contacts for cell in row)
    assert sum(not row[0].isascii() for row in contacts if key(row)) > 20


def test_no_address_can_reach_a_person(contacts: list[list[str]]) -> None:
    domains = {row[0].partition("@")[2].lower() for row in contacts if key(row)}
    assert not [domain for domain in domains if not domain.endswith(RESERVED)]


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter"),
    [("contacts-windows1252-semicolon.csv", "cp1252", ";"), ("contacts-utf16.tsv", "utf-16", "\t")],
)
def test_the_small_files_hold_twenty_contacts(name: str, encoding: str, delimiter: str) -> None:
    header, *rows = records(name, encoding, delimiter)
    assert len(rows) == 20
    assert {len(row) for row in rows} == {len(header)}
