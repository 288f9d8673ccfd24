"""What holds for every command: another tenant finds nothing, hostile names stay text, errors are one line."""

import json

import pytest
import typer

from mailengine.cli.main import app
from support.installation import HTML, Installation

HOSTILE = "Evil\x1b[31m [red]name[/red] \x9b2J \x7f{{ x }}"
ESCAPES = ("\x1b", "\x9b", "\x7f")

OF_ANOTHER_TENANT = [
    ("template", "show", "Newsletter"),
    ("template", "preview", "Newsletter", "--contact", "ann@example.net"),
    ("template", "test", "Newsletter", "me@example.com", "--from", "news@example.org"),
    ("template", "update", "Newsletter", "--category", "x"),
    ("template", "duplicate", "Newsletter", "Mine"),
    ("template", "delete", "Newsletter", "--yes"),
    ("template", "block", "remove", "foot", "--yes"),
    ("campaign", "show", "Spring"),
    ("campaign", "update", "Spring", "--subject", "Mine"),
    ("campaign", "duplicate", "Spring", "Mine"),
    ("campaign", "delete", "Spring", "--yes"),
    ("campaign", "check", "Spring"),
    ("campaign", "send", "Spring", "--yes"),
    ("campaign", "schedule", "Spring", "--at", "2030-01-01 09:00", "--yes"),
    ("campaign", "unschedule", "Spring"),
    ("campaign", "watch", "Spring"),
    ("campaign", "pause", "Spring"),
    ("campaign", "resume", "Spring"),
    ("campaign", "cancel", "Spring", "--yes"),
    ("campaign", "report", "Spring"),
    ("campaign", "create", "--name", "x", "--template", "Newsletter", "--list", "Customers", "--subject", "x",
     "--from", "a@example.org"),
    ("debug", "render", "--template", "Newsletter", "--contact", "ann@example.net"),
    ("debug", "compose", "--campaign", "Spring", "--contact", "ann@example.net"),
    ("forms", "create", "Site", "--list", "Customers"),
    ("forms", "show", "Site"),
    ("forms", "update", "Site", "--disable"),
    ("forms", "delete", "Site", "--yes"),
    ("lists", "update", "Customers", "--public"),
    ("lists", "delete", "Customers", "--yes"),
    ("segments", "show", "Locals"),
    ("segments", "count", "Locals"),
    ("segments", "sample", "Locals"),
    ("segments", "explain", "Locals", "--list", "Customers", "--exclude-list", "Customers"),
    ("segments", "update", "Locals", "--rule", "everyone"),
    ("segments", "delete", "Locals", "--yes"),
    ("tags", "add", "vip", "ann@example.net"),
    ("tags", "remove", "vip", "ann@example.net"),
    ("tags", "delete", "vip", "--yes"),
    ("template", "restore", "Newsletter"),
    ("campaign", "restore", "Spring"),
    ("privacy", "erase", "ann@example.net", "--yes"),
    ("privacy", "export-person", "ann@example.net"),
    ("delivery", "doubts", "list", "--campaign", "Spring"),
    ("delivery", "dead-letters", "list", "--campaign", "Spring"),
    ("delivery", "dead-letters", "requeue", "--campaign", "Spring"),
    ("mappings", "show", "monthly"),
    ("mappings", "delete", "monthly", "--yes"),
    ("jobs", "undo", "1", "--yes"),
    ("jobs", "undo", "1", "--dry-run"),
    ("jobs", "cancel", "1"),
    ("relay", "show", "main"),
    ("relay", "remove", "main", "--yes"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", OF_ANOTHER_TENANT, ids=" ".join)
def test_another_tenant_finds_nothing(installation: Installation, arguments: tuple[str, ...]) -> None:
    installation.run("template", "block", "add", "foot", "-", stdin="<p>x</p>")
    ran = installation.run(*arguments, MAILENGINE_TENANT="other")
    assert (ran.code, ran.out) == (1, "")
    assert ran.complaint.startswith("mailengine: there is no ")


@pytest.mark.parametrize(
    "noun", ["template", "campaign", "relay", "contacts", "lists", "tags", "segments", "suppression", "forms"]
)
def test_lists_of_another_tenant_are_empty(installation: Installation, noun: str) -> None:
    ran = installation.ok(noun, "list", "--json", MAILENGINE_TENANT="other")
    assert ran.json == {"items": [], "total": 0, "next": None}


@pytest.mark.parametrize(
    ("words", "completed"),
    [("mailengine cam", "campaign"), ("mailengine campaign sen", "send"), ("mailengine setup", "setup-link")],
)
def test_the_shell_completes(installation: Installation, words: str, completed: str) -> None:
    asked = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "_MAILENGINE_COMPLETE": "complete_bash",
    }
    assert installation.ok(**asked).out.split() == [completed]


def test_hostile_names_reach_no_terminal(installation: Installation) -> None:
    installation.ok("template", "add", "-", "--name", HOSTILE, stdin=HTML)
    installation.ok(
        "campaign", "create", "--name", HOSTILE, "--template", HOSTILE, "--list", "Customers",
        "--subject", "[red]Hi[/red]", "--from", '"[bold]Acme" <news@example.org>',
    )  # fmt: skip
    for arguments in (
        ("template", "list"),
        ("template", "show", HOSTILE),
        ("template", "show", HOSTILE + "?"),
        ("template", "preview", HOSTILE, "--contact", "ann@example.net"),
        ("template", "delete", HOSTILE),
        ("template", "delete", HOSTILE, "--yes"),
        ("campaign", "list"),
        ("campaign", "show", HOSTILE),
        ("campaign", "check", HOSTILE),
        ("campaign", "send", HOSTILE),
        ("campaign", "send", HOSTILE),
        ("campaign", "watch", HOSTILE + "?"),
        ("campaign", "report", HOSTILE),
        ("campaign", "cancel", HOSTILE, "--yes"),
    ):
        ran = installation.run(*arguments)
        written = ran.out + ran.err
        assert not [escape for escape in ESCAPES if escape in written], arguments
        as_json = installation.run(*arguments, "--json")
        assert not [escape for escape in ESCAPES if escape in as_json.out], arguments
    listed = installation.ok("campaign", "list").out
    assert "[red]Hi[/red]" in listed  # no markup is interpreted
    (found,) = [
        item
        for item in installation.ok("campaign", "list", "--json").json["items"]
        if item["subject"] == "[red]Hi[/red]"
    ]
    assert found["name"] == " ".join(HOSTILE.split())


def test_a_name_with_line_breaks_is_one_line(installation: Installation) -> None:
    ran = installation.run("template", "show", "two\nlines\r\nmailengine: fine")
    assert ran.code == 1
    assert "two" in ran.complaint


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("template", "nonsense"),
        ("template", "add"),
        ("template", "list", "--limit", "0"),
        ("template", "list", "--limit", "x"),
        ("template", "list", "--cursor", "nonsense"),
        ("template", "show", "Newsletter", "--part", "soul"),
        ("campaign", "create"),
        ("campaign", "send"),
        ("debug", "reply"),
        ("--no-such-option",),
        ("campaign", "list", "--\x1b[31m"),
    ],
    ids=repr,
)
def test_wrong_usage_is_one_line(installation: Installation, arguments: tuple[str, ...]) -> None:
    ran = installation.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "\x1b" not in ran.complaint


def test_pages_follow_each_other(installation: Installation) -> None:
    for name in "ABC":
        installation.ok("template", "add", "-", "--name", f"Page {name}", stdin="<p>x</p>")
    seen, cursor = [], None
    while True:
        where = ("--cursor", cursor) if cursor else ()
        page = installation.ok("template", "list", "--limit", "2", *where, "--json").json
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == page["total"]


def test_a_process_of_its_own_says_the_same(installation: Installation) -> None:
    """Once through the real entry point: exit codes, streams, no traceback."""
    ran = installation.spawn("template", "list", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["items"]
    assert installation.spawn("template", "show", "nothing").code == 1
    assert installation.spawn("template", "show").code == 2
    assert installation.spawn("campaign", "watch", "Spring", "--json").json["state"] == "draft"


def test_every_command_that_prints_data_can_print_json() -> None:
    silent = {
        "daemon",
        "demo",
        "tui",
    }  # they serve or show; what they print is narration, or has its own --json
    always_json = {"sanitise", "render", "compose", "reply", "address"}  # `debug`: JSON, or bytes
    files = {("config", "example")}  # TOML, to be redirected
    found = dict(_commands(typer.main.get_command(app), ()))
    assert len(found) > 50
    lacking = [
        " ".join(path)
        for path, options in found.items()
        if "--json" not in options
        and path[0] not in silent
        and path not in files
        and not (path[0] == "debug" and path[1] in always_json)
    ]
    assert lacking == []


def _commands(group: object, path: tuple[str, ...]) -> "list[tuple[tuple[str, ...], set[str]]]":
    found = []
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            found += _commands(command, (*path, name))
        else:
            options = {option for parameter in command.params for option in parameter.opts}
            found.append(((*path, name), options))
    return found
