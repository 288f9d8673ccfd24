"""Tenants, users, keys and the kill switch from the command line."""

from pathlib import Path

import pytest

from support.program import PASSWORD, Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "data")
    made.init()
    return made


def test_tenants_are_told_apart(program: Program) -> None:
    added = program.ok(
        "tenant", "add", "Other", "--address", "Rue 1", "--country", "fr", "--json"
    ).json  # fmt: skip
    assert (added["slug"], added["country"]) == ("other", "FR")
    page = program.ok("tenant", "list", "--limit", "1", "--json").json
    assert ([row["slug"] for row in page["items"]], page["total"]) == (["acme"], 2)
    rest = program.ok("tenant", "list", "--cursor", page["next"], "--json").json
    assert ([row["slug"] for row in rest["items"]], rest["next"]) == (["other"], None)
    unnamed = program.run("user", "list")
    assert unnamed.code == 1
    assert "--tenant: acme, other" in unnamed.complaint
    assert program.ok("--tenant", "other", "user", "list", "--json").json["total"] == 0
    assert program.ok("user", "list", "--json", MAILENGINE_TENANT="acme").json["total"] == 1
    assert "no tenant called nobody" in program.run("--tenant", "nobody", "user", "list").complaint
    assert "no tenant called nobody" in program.run("tenant", "show", "nobody").complaint
    again = program.run("tenant", "add", "Other", "--address", "Rue 1", "--country", "fr")
    assert again.code == 1
    assert "--slug" in again.complaint
    wrong = program.run("tenant", "add", "Third", "--address", "Rue 1", "--country", "xx")
    assert wrong.code == 2


def test_users_are_added_once_and_to_several_tenants(program: Program) -> None:
    program.ok("tenant", "add", "Other", "--address", "Rue 1", "--country", "FR")
    add = ("user", "add", "ann@example.org", "--role", "viewer", "--password-file", "-", "--json")
    made = program.ok("--tenant", "acme", *add, stdin=PASSWORD).json
    assert made == {"email": "ann@example.org", "role": "viewer", "created": True}
    assert (
        program.ok("--tenant", "other", "user", "add", "Ann@example.org", "--json").json["created"] is False
    )
    again = program.run("--tenant", "acme", *add, stdin=PASSWORD)
    assert (again.code, "already a member" in again.complaint) == (1, True)
    short = program.run(
        "--tenant", "acme", "user", "add", "bob@example.org", "--password-file", "-", stdin="x"
    )
    assert short.code == 2
    unasked = program.run("--tenant", "acme", "user", "add", "bob@example.org")
    assert unasked.code == 2
    assert "--password-file" in unasked.complaint
    assert (
        "no role"
        in program.run("--tenant", "acme", "user", "add", "b@example.org", "--role", "king").complaint
    )
    assert program.ok("--tenant", "acme", "user", "list", "--json").json["total"] == 2


def test_a_password_is_changed_for_known_users_only(program: Program) -> None:
    change = ("user", "password", "owner@example.org", "--password-file", "-")
    assert program.ok(*change, "--json", stdin=PASSWORD).json["changed"] is True
    assert program.run(*change, stdin="owner@example.org").code == 2
    ran = program.run("user", "password", "nobody@example.org", "--password-file", "-", stdin=PASSWORD)
    assert (ran.code, "no user" in ran.complaint) == (1, True)


def test_a_user_is_helped_back_in(program: Program) -> None:
    program.ok("user", "add", "ann@example.org", "--password-file", "-", stdin=PASSWORD)
    link = program.ok("user", "reset-password", "Ann@example.org", "--json").json["link"]
    assert link.startswith("http://127.0.0.1:8025/reset/")
    assert program.ok("user", "unlock", "ann@example.org", "--json").json["was_counted"] is False
    unasked = program.run("user", "reset-totp", "ann@example.org")
    assert (unasked.code, "--yes" in unasked.complaint) == (2, True)
    assert program.ok("user", "reset-totp", "ann@example.org", "--yes", "--json").json["was_on"] is False
    for command in ("reset-password", "unlock"):
        assert "no user" in program.run("user", command, "nobody@example.org").complaint


def test_members_are_invited_promoted_and_let_go(program: Program) -> None:
    invited = program.ok("user", "invite", "ann@example.org", "--role", "admin", "--json").json
    assert "/invitations/" in invited["link"]
    assert invited["role"] == "admin"
    program.ok("user", "add", "bob@example.org", "--password-file", "-", stdin=PASSWORD)
    assert program.ok("user", "role", "bob@example.org", "viewer", "--json").json["role"] == "viewer"
    last = program.run("user", "role", "owner@example.org", "admin")
    assert (last.code, "needs an owner" in last.complaint) == (1, True)
    assert "already" in program.run("user", "invite", "bob@example.org").complaint
    assert program.run("user", "remove", "bob@example.org").code == 2
    program.ok("user", "remove", "bob@example.org", "--yes")
    assert program.ok("user", "list", "--json").json["total"] == 1
    assert "no such user" in program.run("user", "role", "bob@example.org", "viewer").complaint


def test_an_organisation_is_renamed(program: Program) -> None:
    changed = program.ok("tenant", "update", "--name", "Acme & Sons", "--json").json
    assert (changed["name"], changed["slug"], changed["country"]) == ("Acme & Sons", "acme", "DE")
    assert program.run("tenant", "update", "--country", "xx").code == 2


def test_a_key_is_shown_once(program: Program) -> None:
    made = program.ok("api-key", "create", "shop", "--role", "viewer", "--json").json
    assert made["token"].startswith("mek_")
    listed = program.ok("api-key", "list", "--json")
    assert made["token"] not in listed.out
    assert listed.json["items"][0]["name"] == "shop"
    text = program.ok("api-key", "create", "other")
    assert text.out.strip().startswith("mek_")
    unasked = program.run("api-key", "revoke", "shop")
    assert (unasked.code, "--yes" in unasked.complaint) == (2, True)
    assert program.ok("api-key", "revoke", "shop", "--yes", "--json").json["revoked_at"] is not None
    assert program.run("api-key", "revoke", "nothing", "--yes").code == 1
    assert program.run("api-key", "create", "shop").code == 1


def test_the_kill_switch(program: Program) -> None:
    assert program.ok("kill-switch", "status", "--json").json["items"] == []
    program.ok("kill-switch", "on", "--reason", "a wrong list")
    program.ok("kill-switch", "on", "--tenant", "acme")
    rows = program.ok("kill-switch", "status", "--json").json["items"]
    assert [(row["tenant"], row["reason"]) for row in rows] == [("(all)", "a wrong list"), ("acme", "")]
    program.ok("kill-switch", "off")
    program.ok("--tenant", "acme", "kill-switch", "off")
    assert program.ok("kill-switch", "status", "--json").json["total"] == 0
    assert program.run("kill-switch", "on", "--tenant", "nobody").code == 1
