"""What servers really say, and what we make of it."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.mail.replies import MAX_TEXT, Reply, Verdict, judge, parse_reply
from mailengine.mail.reply_rules import Stage

CORPUS = [
    line.split(maxsplit=4)
    for line in Path(__file__).with_name("replies.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("row", CORPUS, ids=lambda row: " ".join([row[0], *row[4:]])[:60])
def test_corpus(row: list[str]) -> None:
    stage, outcome, cause, hard, *reply = row
    found = judge(parse_reply("".join(reply).replace("\\n", "\n")), cast("Stage", stage))
    assert (found.outcome, found.cause or "-", "hard" if found.hard else "-") == (outcome, cause, hard)


@pytest.mark.parametrize("row", CORPUS, ids=lambda row: " ".join(row[4:])[:60])
def test_the_short_way_of_an_ordinary_line_reads_what_the_general_one_does(row: list[str]) -> None:
    for line in "".join(row[4:]).split("\\n"):
        assert parse_reply([line.encode()]) == parse_reply(line)


@given(st.from_regex(rb"[245][0-9]{2} (5\.1\.1 )?[ -~]{0,40}", fullmatch=True))
def test_so_it_does_whatever_the_line(line: bytes) -> None:
    assert parse_reply([line]) == parse_reply(line.decode())


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) > 100


def test_a_multi_line_reply_reads_as_one_sentence() -> None:
    lines = [b"550-5.1.1 The account\r\n", b"550-5.1.1 does not exist.\r\n", b"550 5.1.1 Bye\r\n"]
    expected = Reply(550, "5.1.1", "The account does not exist. Bye")
    assert parse_reply(lines) == parse_reply(b"".join(lines)) == expected
    assert parse_reply([line.decode().strip() for line in lines]) == expected


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("250", Reply(250, None, "")),
        ("250 ", Reply(250, None, "")),
        ("550 5.1.1", Reply(550, "5.1.1", "")),
        ("550 #5.1.0 no", Reply(550, "5.1.0", "no")),
        ("550 [5.7.1] no", Reply(550, "5.7.1", "no")),
        ("550 5.1.1: no", Reply(550, "5.1.1", "no")),
        ("550 no (#5.1.1)", Reply(550, "5.1.1", "no (#5.1.1)")),
        ("554 5.9.8.7 is listed", Reply(554, None, "5.9.8.7 is listed")),
        ("2500 x", Reply(0, None, "2500 x")),
        ("550 a\x00b\x1b[31mc\u2028d", Reply(550, None, "a b [31mc d")),
        (b"550 caf\xe9", Reply(550, None, "caf\ufffd")),
    ],
)
def test_parsing(line: str | bytes, reply: Reply) -> None:
    assert parse_reply(line) == reply


@pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "final"])
def test_the_basic_code_decides_the_outcome(stage: Stage) -> None:
    nobody_yet = stage in ("connect", "ehlo", "auth")
    for code in range(400, 600):
        found = judge(Reply(code, None, "x"), stage)
        assert found.cause is not None
        no_fault = nobody_yet or found.cause == "auth" or code == 503
        expected = "deferred" if code < 500 or no_fault else "rejected"
        assert found.outcome == expected, code


@given(
    st.one_of(st.text(max_size=100), st.binary(max_size=100), st.lists(st.text(max_size=40), max_size=5)),
    st.sampled_from(["connect", "ehlo", "auth", "mail", "rcpt", "data", "final"]),
)
def test_anything_gets_a_verdict(raw: str | bytes | list[str], stage: Stage) -> None:
    assert_sane(judge(parse_reply(raw), stage))


@given(
    st.integers(0, 999),
    st.one_of(
        st.none(),
        st.builds("{}.{}.{}".format, st.sampled_from("245"), st.integers(0, 999), st.integers(0, 999)),
    ),
    st.text(max_size=60),
    st.sampled_from(["connect", "ehlo", "auth", "mail", "rcpt", "data", "final"]),
)
def test_hard_is_only_ever_a_rejected_recipient(
    code: int, enhanced: str | None, text: str, stage: Stage
) -> None:
    assert_sane(judge(Reply(code, enhanced, text), stage))


def assert_sane(verdict: Verdict) -> None:
    assert (verdict.cause is None) == (verdict.outcome == "accepted")
    if verdict.hard:
        assert (verdict.outcome, verdict.cause) == ("rejected", "recipient")
    assert len(verdict.text) <= MAX_TEXT


def test_endless_replies_are_cut() -> None:
    found = parse_reply(["550-5.7.1 " + "x" * 500_000] * 20)
    assert (found.code, found.enhanced, len(found.text)) == (550, "5.7.1", MAX_TEXT)


def test_policy_codes_never_blame_the_recipient() -> None:
    found = judge(parse_reply("550 5.7.1 user unknown or not authorised"), "rcpt")
    assert (found.cause, found.hard) == ("policy", False)
