"""`mailengine campaign`: from a draft to a report, without a daemon."""

import json
import os
from pathlib import Path

import pytest

from support.installation import Installation


def test_a_draft_is_made_shown_changed_copied_and_deleted(installation: Installation) -> None:
    shown = installation.ok("campaign", "show", "Spring", "--json").json
    assert (shown["state"], shown["template"], shown["lists"]) == ("draft", "Newsletter", ["Customers"])
    assert shown["from"] == "Acme <news@example.org>"
    installation.ok("campaign", "duplicate", "Spring", "Summer")
    changed = installation.ok(
        "campaign", "update", "Summer", "--subject", "Other", "--no-track-opens", "--relay", "main", "--json"
    ).json
    assert changed["subject"] == "Other"
    summer = installation.ok("campaign", "show", "Summer", "--json").json
    assert (summer["track_opens"], summer["track_clicks"], summer["relay"]) == (False, True, "main")
    listed = installation.ok("campaign", "list", "--state", "draft", "--json").json
    assert {item["name"] for item in listed["items"]} >= {"Spring", "Summer"}
    assert installation.run("campaign", "list", "--state", "nonsense").code == 2
    assert installation.run("campaign", "update", "Summer").code == 2
    assert installation.run("campaign", "delete", "Summer").code == 2
    assert installation.ok("campaign", "delete", "Summer", "--yes", "--json").json["deleted"] is True
    assert installation.run("campaign", "show", "Summer").code == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"--name": "Spring"}, 1),
        ({"--template": "Nothing"}, 1),
        ({"--list": "Nobody"}, 1),
        ({"--relay": "unknown"}, 1),
        ({"--from": "not an address"}, 2),
        ({"--reply-to": "nobody"}, 2),
        ({"--subject": "two\nlines\nBcc: x@example.org"}, 2),
        ({"--subject": ""}, 2),
        ({"--name": " "}, 2),
    ],
)
def test_a_draft_that_cannot_be_is_one_line(
    installation: Installation, changes: dict[str, str], code: int
) -> None:
    options = {
        "--name": "New", "--template": "Newsletter", "--list": "Customers", "--subject": "News",
        "--from": "Acme <news@example.org>", **changes,
    }  # fmt: skip
    ran = installation.run("campaign", "create", *(part for pair in options.items() for part in pair))
    assert (ran.code, ran.out) == (code, "")
    assert ran.complaint
    assert installation.run("campaign", "show", "New").code == 1


def test_the_checklist_says_each_rule_and_blocks(installation: Installation) -> None:
    checked = installation.ok("campaign", "check", "Spring", "--json").json
    levels = {item["rule"]: item["level"] for item in checked["items"]}
    assert checked["sendable"] is True
    assert levels["domain"] == "warning"  # the relay is on the loopback
    assert levels["audience"] == levels["unsubscribe_link"] == "ok"
    installation.ok("template", "add", "-", "--name", "Bare", stdin="<p>Hi</p>")
    installation.ok("campaign", "duplicate", "Spring", "Bare")
    installation.ok("campaign", "update", "Bare", "--template", "Bare")
    ran = installation.run("campaign", "check", "Bare", "--json")
    assert (ran.code, ran.json["sendable"]) == (1, False)
    ran = installation.run("campaign", "send", "Bare", "--yes")
    assert (ran.code, ran.out) == (1, "")
    first, *reasons = ran.err.splitlines()
    assert first == "mailengine: campaign Bare cannot be sent"
    assert {reason.split("; add")[0] for reason in reasons} == {
        "  - the HTML must contain an unsubscribe link",
        "  - the HTML must contain the postal address",
    }


def test_a_campaign_is_queued_without_daemon_held_and_ended(installation: Installation) -> None:
    installation.draft("Held")
    assert installation.run("campaign", "pause", "Held").code == 1
    ran = installation.ok("campaign", "send", "Held", "--json")
    assert (ran.json["state"], ran.json["recipients"], ran.json["daemon"]) == ("sending", 3, False)
    assert "no daemon runs" in ran.err
    assert "example.org is not verified" in ran.err
    assert "duplicate it instead" in installation.run("campaign", "send", "Held").complaint
    assert installation.ok("campaign", "pause", "Held", "--json").json["state"] == "paused"
    assert installation.ok("campaign", "resume", "Held", "--json").json["state"] == "sending"
    assert installation.run("campaign", "resume", "Held").code == 1
    assert "cancel it first" in installation.run("campaign", "delete", "Held", "--yes").complaint
    assert installation.run("campaign", "cancel", "Held").code == 2
    assert installation.ok("campaign", "cancel", "Held", "--yes", "--json").json["state"] == "cancelled"
    watched = installation.ok("campaign", "watch", "Held", "--json")
    assert watched.json["state"] == "cancelled"
    assert "cancelled" in installation.ok("campaign", "watch", "Held").out
    report = installation.ok("campaign", "report", "Held", "--json").json
    assert (report["sent"], report["opened"]["percent"], report["failures"]) == (0, None, [])
    assert "accepted by the server" in installation.ok("campaign", "report", "Held").out


def test_a_living_daemon_is_seen(installation: Installation) -> None:
    announced: Path = installation.data_dir / "daemon.json"
    announced.write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:8"}))
    try:
        installation.draft("Seen")
        ran = installation.ok("campaign", "send", "Seen", "--yes", "--json")
        assert ran.json["daemon"] is True
        assert "no daemon" not in ran.err
        announced.write_text("not json")
        assert "no daemon" in {f["name"]: f for f in installation.ok("doctor", "--offline", "--json").json[
            "findings"
        ]}["daemon"]["words"]  # fmt: skip
    finally:
        announced.unlink()
