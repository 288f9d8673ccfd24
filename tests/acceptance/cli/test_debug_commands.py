"""`mailengine debug`: each pure step by hand; those that need no database need no installation."""

import email
import email.policy
import json
from email.message import EmailMessage
from pathlib import Path

import pytest

from support.installation import Installation
from support.program import Program


@pytest.fixture
def nowhere(tmp_path: Path) -> Program:
    """A program without an installation."""
    return Program(tmp_path / "nothing")


def test_a_page_is_cleaned(nowhere: Program) -> None:
    ran = nowhere.ok("debug", "sanitise", stdin='<p onclick="x()">Hi {{ first_name }}</p>')
    assert ran.json == {
        "html": "<p>Hi {{ first_name }}</p>",
        "removed": [{"what": "onclick attribute of <p>", "line": 1}],
    }
    assert nowhere.run("debug", "sanitise", stdin="").code == 2


def test_a_reply_is_judged(nowhere: Program) -> None:
    full = nowhere.ok("debug", "reply", "452 4.2.2 mailbox full").json
    assert (full["outcome"], full["cause"], full["code"], full["enhanced"], full["hard"]) == (
        "deferred", "mailbox_full", 452, "4.2.2", False,
    )  # fmt: skip
    assert nowhere.ok("debug", "reply", "550 5.1.1 no such user", "--stage", "rcpt").json["hard"] is True
    assert nowhere.ok("debug", "reply", "550 5.1.1 no such user", "--stage", "mail").json["hard"] is False
    assert "--stage" in nowhere.run("debug", "reply", "550 no", "--stage", "lunch").complaint


def test_addresses_are_judged_one_a_line(nowhere: Program) -> None:
    ran = nowhere.ok("debug", "address", stdin="Ann@Example.ORG\n\nünï@müller.de\nno one\n\x1b[31m@x.org")
    judged = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["accepted"] for each in judged] == [True, False, True, False, False]
    assert (judged[0]["email"], judged[0]["key"]) == ("Ann@example.org", "ann@example.org")
    assert judged[2]["key"] == "ünï@xn--mller-kva.de"
    assert all(each["reason"] for each in judged if not each["accepted"])
    assert "\x1b" not in ran.out


def test_a_template_is_rendered(installation: Installation) -> None:
    seen = installation.ok(
        "debug",
        "render",
        "--template",
        "Newsletter",
        "--contact",
        "cyd@example.net",
        "--subject",
        "{{ last_name }}",
    ).json
    assert set(seen) == {"subject", "html", "text"}
    assert seen["subject"] == "O'Neil"
    assert "Cyd of !" in seen["text"]  # a known attribute that this contact lacks


def test_the_message_of_a_draft_is_composed_without_a_row(installation: Installation) -> None:
    rows = [installation.sql(f"SELECT count(*) FROM {table}") for table in ("snapshots", "email_tasks")]
    ran = installation.ok("debug", "compose", "--campaign", "Spring", "--contact", "ann@example.net")
    message = email.message_from_string(ran.out, policy=email.policy.strict)
    assert isinstance(message, EmailMessage)
    assert message["Subject"] == "News for Ann"
    assert message["To"] == "Ann Müller <ann@example.net>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = message.get_body(("html",))
    assert html is not None
    assert "/c/" in html.get_content()  # tracked, as it would be sent
    after = [installation.sql(f"SELECT count(*) FROM {table}") for table in ("snapshots", "email_tasks")]
    assert rows == after
    for wrong in (("Nothing", "ann@example.net"), ("Spring", "nobody@example.net")):
        ran = installation.run("debug", "compose", "--campaign", wrong[0], "--contact", wrong[1])
        assert (ran.code, ran.out) == (1, "")
        assert ran.complaint
