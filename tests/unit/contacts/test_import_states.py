"""Columns that tell who is subscribed: whoever left must never come in as subscribed."""

from collections import Counter
from pathlib import Path

import pytest

from mailengine.domain.contacts.imports.rows import Rejected, Row
from mailengine.domain.contacts.imports.source import Reader, understand
from support.house import NOW

REJECTED = "rejected"


def states(folder: Path, text: str, **mapping: str) -> list[str | None]:
    """Of each row, in the order of the file."""
    path = folder / "people.csv"
    path.write_text(text)
    reader = Reader(understand(path, mapping=mapping, folder=folder), now=NOW)
    rows: list[Row | Rejected] = []
    while batch := reader.next_batch():
        rows += [*batch.rows, *batch.rejected]
    found = sorted(rows, key=lambda row: row.line)
    return [REJECTED if isinstance(row, Rejected) else row.state for row in found]


def column(header: str, *cells: str) -> str:
    return f"email;{header}\n" + "".join(f"p{number}@x.test;{cell}\n" for number, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("status", ("subscribed", "unsubscribed", "dormant"), ["subscribed", "unsubscribed", REJECTED]),
        ("Status", ("Active", "Unsubscribed", "Bounced (hard)"), ["subscribed", "unsubscribed", "bounced"]),
        ("Status", ("lead", "OPTED_OUT", ""), [REJECTED, "unsubscribed", None]),
        ("statut", ("abonné", "désabonné"), ["subscribed", "unsubscribed"]),
        ("Estado", ("suscrito", "dado de baja"), ["subscribed", "unsubscribed"]),
        ("Newsletter-Status", ("angemeldet", "abgemeldet"), ["subscribed", "unsubscribed"]),
        ("Статус", ("подписан", "отписан"), ["subscribed", "unsubscribed"]),
        ("Κατάσταση", ("Ενεργός", "Διαγραμμένος"), ["subscribed", "unsubscribed"]),
        ("ステータス", ("購読中", "配信停止"), ["subscribed", "unsubscribed"]),
        ("subscribed", ("yes", "no", "?"), ["subscribed", "unsubscribed", REJECTED]),
        ("Subscribed", ("true", "FALSE", ""), ["subscribed", "unsubscribed", "unconfirmed"]),
        ("opt-in", ("1", "0"), ["subscribed", "unsubscribed"]),
        ("Opted In", ("2024-01-02", "false"), ["subscribed", "unsubscribed"]),
        ("Newsletter", ("ja", "nein"), ["subscribed", "unsubscribed"]),
        ("Accepts Email Marketing", ("x", ""), ["subscribed", "unconfirmed"]),
        ("Désinscrit", ("", "2024-01-02"), [None, "unsubscribed"]),
        ("Status", ("customer", "lead", "inactive"), [None, None, None]),  # a column of their own
        ("Estado", ("Jalisco", "Sonora"), [None, None]),
        ("Newsletter", ("weekly", "monthly"), [None, None]),
    ],
)
def test_states(tmp_path: Path, header: str, cells: tuple[str, ...], expected: list[str | None]) -> None:
    assert states(tmp_path, column(header, *cells)) == expected


def test_two_columns_of_states(tmp_path: Path) -> None:
    cells = ("active;unsubscribed", ";active", ";", "active;pending")
    text = column("email status;status", *cells)
    assert states(tmp_path, text) == ["unsubscribed", "subscribed", None, "unconfirmed"]


def test_columns_that_disagree(tmp_path: Path) -> None:
    text = (
        "email;status;newsletter;opt-in;unsubscribed;blacklisted\n"
        "a@x.test;subscribed;no;yes;;\n"
        "b@x.test;subscribed;;yes;no;0\n"
        "c@x.test;;yes;;;\n"
        "d@x.test;subscribed;yes;yes;;1\n"
        "e@x.test;unsubscribed;yes;yes;;\n"
        "f@x.test;;;;;\n"
    )
    found = ["unsubscribed", "subscribed", "subscribed", "unsubscribed", "unsubscribed", "unconfirmed"]
    assert states(tmp_path, text) == found


@pytest.mark.parametrize(
    ("header", "usual", "left"), [("Status", "customer", "unsubscribed"), ("Newsletter", "weekly", "no")]
)
def test_who_left_far_below_the_first_rows_is_rejected(
    tmp_path: Path, header: str, usual: str, left: str
) -> None:
    text = column(header, *[usual] * 1000, left)
    assert Counter(states(tmp_path, text)) == {None: 1000, REJECTED: 1}
    as_guessed = states(tmp_path, text, **{header: header.lower()})
    assert Counter(as_guessed) == {None: 1000, REJECTED: 1}, "as a page says it of every column"
    assert Counter(states(tmp_path, text, **{header: "phase"})) == {None: 1001}, "somebody said what it is"
    assert states(tmp_path, column(header, usual, left), **{header: header.lower()}) == [None, None]
