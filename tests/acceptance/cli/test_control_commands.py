"""Limits, warm-ups, quiet hours, shares of relays and reputation, by commands."""

import pytest

from support.installation import Installation

OTHER = {"MAILENGINE_TENANT": "other"}
NOTHING = {"items": [], "total": 0, "next": None}


def test_limits_are_set_listed_and_removed(installation: Installation) -> None:
    installation.ok("limit", "set", "500/hour")
    installation.ok("limit", "set", "2,000 per day")
    installation.ok("limit", "set", "600/hour")  # replaces
    relay = installation.ok("limit", "set", "100/minute", "--relay", "main", "--json").json
    assert (relay["scope"], relay["target"], relay["rate"]) == ("relay", "main", "100/minute")
    installation.ok("limit", "set", "20/minute", "--provider", "Google")
    installation.ok("limit", "set", "40/minute", "--provider", "Müller.example")
    listed = installation.ok("limit", "list", "--json").json
    assert [(item["scope"], item["target"], item["rate"], item["available"]) for item in listed["items"]] == [
        ("tenant", None, "600/hour", 30),
        ("tenant", None, "2,000/day", 100),
        ("relay", "main", "100/minute", 5),
        ("provider", "google", "20/minute", 1),
        ("provider", "xn--mller-kva.example", "40/minute", 2),
    ]
    assert "600/hour" in installation.ok("limit", "list").out
    assert installation.ok("limit", "list", "--json", **OTHER).json == NOTHING
    for arguments in (
        ("hour",), ("day",), ("minute", "--relay", "main"), ("minute", "--provider", "google"),
        ("minute", "--provider", "müller.example"),
    ):  # fmt: skip
        assert installation.run("limit", "remove", *arguments, **OTHER).code == 1
        installation.ok("limit", "remove", *arguments)
    assert installation.ok("limit", "list", "--json").json == NOTHING
    actions = installation.sql("SELECT action FROM audit_log WHERE action LIKE 'limit.%'")
    assert len(actions) == 11


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("limit", "set", "fast"), 2),
        (("limit", "set", "0/hour"), 2),
        (("limit", "set", "5/hour", "--relay", "main", "--provider", "google"), 2),
        (("limit", "set", "5/hour", "--relay", "nobody"), 1),
        (("limit", "set", "5/hour", "--provider", "not a domain"), 2),
        (("limit", "remove", "fortnight"), 2),
        (("limit", "remove", "hour"), 1),
        (("warm-up", "start", "--relay", "nobody"), 1),
        (("warm-up", "start", "--relay", "main", "--domain", "example.org"), 2),
        (("warm-up", "stop", "--domain", "example.org"), 1),
        (("quiet-hours", "set", "25:00", "07:00"), 2),
        (("quiet-hours", "set", "22:00", "22:00"), 2),
        (("quiet-hours", "set", "22:00", "07:00", "--timezone", "Middle/Earth"), 2),
        (("relay", "update", "nobody", "--weight", "2"), 1),
        (("relay", "update", "main"), 2),
        (("relay", "update", "main", "--weight", "0"), 2),
        (("relay", "add", "x", "--host", "127.0.0.1", "--tls", "none", "--priority", "-1"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_one_line(
    installation: Installation, arguments: tuple[str, ...], code: int
) -> None:
    ran = installation.run(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.complaint


def test_warm_ups_say_where_they_are(installation: Installation) -> None:
    started = installation.ok("warm-up", "start", "--json").json
    assert (started["scope"], started["day"], started["rate"]) == ("tenant", 1, "50/hour")
    installation.ok("warm-up", "start", "--relay", "main")
    installation.ok("warm-up", "start", "--domain", "Example.ORG")
    assert installation.run("warm-up", "start").code == 1  # it runs
    installation.sql("UPDATE warm_ups SET started_at = datetime(started_at, '-4 days') || '.000000'")
    listed = installation.ok("warm-up", "list", "--json").json["items"]
    assert [(item["scope"], item["target"], item["day"], item["rate"]) for item in listed] == [
        ("tenant", None, 5, "200/hour"),
        ("relay", "main", 5, "300/day"),
        ("domain", "example.org", 5, "300/day"),
    ]
    assert all(item["started_at"] < item["changes_at"] <= item["ends_at"] for item in listed)
    assert "200/hour" in installation.ok("warm-up", "list").out
    assert installation.ok("warm-up", "list", "--json", **OTHER).json == NOTHING
    for arguments in ((), ("--relay", "main"), ("--domain", "example.org")):
        assert installation.run("warm-up", "stop", *arguments, **OTHER).code == 1
        installation.ok("warm-up", "stop", *arguments)
    assert installation.ok("warm-up", "list", "--json").json == NOTHING


def test_quiet_hours_are_set_shown_and_cleared(installation: Installation) -> None:
    installation.ok("quiet-hours", "set", "22:00", "07:30", "--timezone", "Europe/Berlin")
    shown = installation.ok("quiet-hours", "show", "--json").json
    assert (shown["starts"], shown["ends"], shown["timezone"]) == ("22:00", "07:30", "Europe/Berlin")
    nothing = {"starts": None, "ends": None, "timezone": None, "quiet_until": None}
    assert installation.ok("quiet-hours", "show", "--json", **OTHER).json == nothing
    installation.ok("quiet-hours", "clear", **OTHER)
    assert installation.ok("quiet-hours", "show", "--json").json == shown
    assert installation.ok("quiet-hours", "clear", "--json").json == nothing


def test_relays_have_shares_and_their_limits_go_with_them(installation: Installation) -> None:
    add = (
        "relay",
        "add",
        "spare",
        "--host",
        "127.0.0.1",
        "--tls",
        "none",
        "--priority",
        "2",
        "--weight",
        "3",
    )
    added = installation.ok(*add, "--json").json
    assert (added["priority"], added["weight"], added["enabled"]) == (2, 3, True)
    changed = installation.ok("relay", "update", "spare", "--priority", "1", "--disable", "--json").json
    assert (changed["priority"], changed["weight"], changed["enabled"]) == (1, 3, False)
    assert installation.run("relay", "update", "spare", "--enable", **OTHER).code == 1
    assert "weight" in installation.ok("relay", "list").out
    installation.ok("limit", "set", "5/hour", "--relay", "spare")
    installation.ok("warm-up", "start", "--relay", "spare")
    installation.ok("relay", "remove", "spare", "--yes")
    assert installation.ok("limit", "list", "--json").json == NOTHING
    assert installation.ok("warm-up", "list", "--json").json == NOTHING
    (details,) = installation.sql("SELECT details FROM audit_log WHERE action = 'relay.update'")
    assert "priority" in str(details)


def test_a_relay_logs_in_by_an_access_token_that_can_be_replaced(installation: Installation) -> None:
    add = ("relay", "add", "mail", "--host", "smtp.example.org", "--auth", "xoauth2", "--password-file", "-")
    assert "username" in installation.run(*add, stdin="token").complaint
    added = installation.ok(*add, "--username", "me@example.org", "--json", stdin="token").json
    assert (added["auth"], added["username"]) == ("xoauth2", "me@example.org")
    replace = ("relay", "password", "mail", "--password-file", "-")
    assert "token" not in installation.ok(*replace, "--json", stdin="token-2").out
    assert installation.run(*replace, stdin="x", **OTHER).code == 1
    assert installation.run("relay", "password", "main", "--password-file", "-", stdin="x").code == 2
    assert "choose" in installation.run("relay", "add", "x", "--host", "h.example", "--auth", "y").complaint


def test_the_forecast_is_seen_before_and_after_the_launch(installation: Installation) -> None:
    installation.ok("limit", "set", "2/day")
    said = "Throttled: sending at 2/day, 24 hours remaining"  # one of three goes at once
    assert said in installation.ok("campaign", "check", "Spring").out
    ran = installation.ok("campaign", "send", "Spring", "--yes", "--json")
    assert said in ran.err
    assert ran.json["throttled"] == {"rate": "2/day", "remaining_seconds": 86400, "text": said}
    report = installation.ok("campaign", "report", "Spring", "--json").json
    assert report["throttled"] is None  # no daemon has found the recipients yet
    installation.ok("campaign", "cancel", "Spring", "--yes")
    installation.ok("limit", "remove", "day")


def test_reputation_is_shown(installation: Installation) -> None:
    shown = installation.ok("reputation", "--json").json
    assert (shown["standing"], shown["lane"], shown["sent"], shown["suspended"]) == ("ok", "normal", 0, None)
    installation.ok("kill-switch", "on", "--tenant", "acme", "--reason", "bounce rate 6.1 %: stop")
    assert "6.1 %" in installation.ok("reputation").out
    assert installation.ok("reputation", "--json", **OTHER).json["suspended"] is None
    installation.ok("kill-switch", "off", "--tenant", "acme")
