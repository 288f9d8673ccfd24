"""What commands print: copied into the next command, and read by grep."""

import pytest

from mailengine.cli import output

LONG = "a-rather-long-local-part-that-no-eighty-columns-hold" * 3 + "@example.org"


def test_numbers_that_name_something_can_be_copied(capsys: pytest.CaptureFixture[str]):
    output.fields({"port": 2525, "job": 1234, "rows": 1234})
    assert capsys.readouterr().out == "port  2525\njob   1234\nrows  1,234\n"


def test_a_table_in_a_pipe_keeps_each_row_in_one_line(capsys: pytest.CaptureFixture[str]):
    output.table(
        [{"id": 1500, "email": LONG}, {"id": 7, "email": "ann@example.org"}], ("id", "email"), empty=""
    )
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "email"]
    assert first.split() == ["1500", LONG]
    assert second.split() == ["7", "ann@example.org"]


def test_nothing_is_said_and_not_left_blank(capsys: pytest.CaptureFixture[str]) -> None:
    output.fields({"removed": [], "finished": None, "left_out": {}})
    assert capsys.readouterr().out == "removed   -\nfinished  -\nleft out  -\n"
