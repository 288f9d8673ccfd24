"""Contacts, lists, suppression, imports and jobs from the command line."""

from pathlib import Path

import pytest

from support.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "data")
    made.init()
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    path.write_text("email,name,city\nann@example.org,Ann Lee,Bonn\nbob@example.org,Bob Ray,Köln\nnobody,,\n")
    return str(path)


def test_an_import_and_what_it_left(program: Program, file: str) -> None:
    dry = program.ok("import", file, "--list", "Customers", "--dry-run", "--rows", "--json").json
    assert [row["outcome"] for row in dry["rows_listed"]] == ["created", "created", "rejected"]
    assert program.ok("contacts", "list", "--json").json["total"] == 0
    done = program.ok("import", file, "--list", "Customers", "--json").json
    assert (done["created"], done["rejected"], done["rows"]) == (2, 1, 3)
    assert done["errors"] == [{"line": 4, "reason": "address: there is no @", "row": ["nobody", "", ""]}]
    assert done["mapping"] == {"email": "email", "name": "full_name", "city": "city"}
    assert "nobody" in Path(done["errors_file"]).read_text()
    job = program.ok("jobs", "show", str(done["job"]), "--json").json
    assert (job["state"], job["done"], job["total"]) == ("done", 3, 3)
    assert program.ok("jobs", "list", "--json").json["total"] == 1
    text = program.ok("import", file, "--list", "Customers")
    assert "unchanged" in text.out
    assert "line 4: address: there is no @" in text.err


def test_contacts_one_by_one(program: Program, file: str) -> None:
    program.ok("import", file, "--list", "Customers")
    first = program.ok("contacts", "list", "--limit", "1", "--json").json
    rest = program.ok("contacts", "list", "--cursor", first["next"], "--json").json
    assert [row["email"] for row in first["items"] + rest["items"]] == ["ann@example.org", "bob@example.org"]
    assert program.ok("contacts", "search", "ray", "--json").json["total"] == 1
    assert program.ok("contacts", "search", "Kö", "--attribute", "city", "--json").json["total"] == 1
    program.ok("contacts", "add", "eve@example.org", "--attribute", "city=Ulm", "--list", "Customers")
    assert program.ok("contacts", "show", "eve@example.org", "--json").json["lists"] == {
        "Customers": "subscribed"
    }
    program.ok("contacts", "update", "Eve@example.org", "--attribute", "city=", "--attribute", "age=7")
    changed = program.ok("contacts", "update", "eve@example.org", "--last-name", "Ray", "--json").json
    assert (changed["first_name"], changed["last_name"], changed["attributes"]) == ("", "Ray", {"age": "7"})
    for arguments, code in ((("eve@example.org",), 2), (("no@example.org", "--first-name", "N"), 1)):
        assert program.run("contacts", "update", *arguments).code == code
    assert "already a contact" in program.run("contacts", "add", "EVE@example.org").complaint
    program.ok("contacts", "delete", "eve@example.org", "--yes")
    assert program.run("contacts", "show", "eve@example.org").code == 1
    assert program.ok("contacts", "deleted", "--json").json["total"] == 1
    program.ok("contacts", "restore", "eve@example.org")
    assert program.ok("contacts", "list", "--list", "Customers", "--json").json["total"] == 3


def test_lists_and_suppression(program: Program, file: str) -> None:
    program.ok("import", file, "--list", "Customers")
    program.ok("lists", "create", "Empty")
    made = program.ok("lists", "create", "News", "--double-opt-in", "--description", "Monthly", "--json").json
    assert (made["double_opt_in"], made["public"], made["description"]) == (True, False, "Monthly")
    acts = [row["action"] for row in program.ok("audit", "list", "--limit", "2", "--json").json["items"]]
    assert acts == ["list.create", "list.create"]
    program.ok("lists", "delete", "News", "--yes")
    assert "already a list" in program.run("lists", "create", "Empty").complaint
    assert program.ok("lists", "list", "--json").json["total"] == 2
    assert program.ok("suppression", "add", "ANN@example.org", "--json").json["added"]
    assert program.run("contacts", "add", "x@blocked.example").code == 0
    program.ok("suppression", "add", "@blocked.example")
    for filters, total in (
        ((), 2),
        (("--reason", "manual"), 2),
        (("--reason", "other"), 0),
        (("--search", "ANN"), 1),
    ):
        assert program.ok("suppression", "list", *filters, "--json").json["total"] == total, filters
    shown = program.ok("lists", "show", "Customers", "--json").json
    assert (shown["subscribed"], shown["audience"], shown["left_out"]) == (2, 1, {"suppressed": 1})
    program.ok("suppression", "remove", "ann@example.org", "--yes")
    assert program.ok("lists", "show", "Customers", "--json").json["audience"] == 2
    everyone = ("segments", "explain", "--rule", "everyone", "--json")
    assert program.ok(*everyone).json["left_out"] == {"domain suppressed": 1}
    without = program.ok(*everyone, "--exclude-list", "Empty", "--exclude-list", "Customers").json
    assert (without["people"], without["left_out"]) == (3, {"domain suppressed": 1, "excluded": 2})
    assert "no list called Nope" in program.run(*everyone, "--exclude-list", "Nope").complaint
    program.ok("forms", "create", "Site", "--list", "Customers")
    kept = program.run("lists", "delete", "Customers", "--yes")
    assert (kept.code, "Customers is used by the form Site; take it out there" in kept.complaint) == (1, True)
    program.ok("forms", "delete", "Site", "--yes")
    asked = program.run("lists", "delete", "Customers")
    assert (asked.code, "--yes" in asked.complaint) == (2, True)
    gone = program.ok("lists", "delete", "Customers", "--yes", "--json").json
    assert (gone["name"], gone["taken_off"]) == ("Customers", 2)
    assert program.run("lists", "show", "Customers").code == 1
    program.ok("tags", "add", "vip", "ann@example.org")
    shown = program.ok("contacts", "show", "ann@example.org", "--json").json
    assert (shown["lists"], shown["tags"]) == ({}, ["vip"])
    program.ok("contacts", "add", "new@example.org", "--list", "Others")
    for listed in (("list",), ("search", "example.org")):
        rows = program.ok("contacts", *listed, "--json").json["items"]
        assert {row["email"]: (row["lists"], row["tags"]) for row in rows}.items() >= {
            "ann@example.org": ({}, ["vip"]), "new@example.org": ({"Others": "subscribed"}, []),
        }.items()  # fmt: skip
    program.ok("segments", "add", "Best", "tag = vip")
    kept = program.run("tags", "delete", "vip", "--yes")
    assert (kept.code, "vip is used by the segment Best; take it out there" in kept.complaint) == (1, True)
    program.ok("segments", "delete", "Best", "--yes")
    assert program.ok("tags", "delete", "vip", "--yes", "--json").json["contacts"] == 1


def test_what_is_refused_is_one_clear_line(program: Program, file: str, tmp_path: Path) -> None:
    for arguments, code, message in (
        (("import", str(tmp_path / "none.csv"), "--list", "L"), 2, "no such file"),
        (("import", file, "--list", "L", "--map", "nope=email"), 2, "the columns are 'email'"),
        (("import", file, "--list", "L", "--on-duplicate", "merge"), 2, "skip, update or overwrite"),
        (("import", file, "--list", " "), 2, "1 to 200 characters"),
        (("contacts", "show", "who@example.org"), 1, "no contact"),
        (("contacts", "list", "--state", "happy"), 2, "--state is one of"),
        (("lists", "show", "Nope"), 1, "no list called Nope"),
        (("jobs", "show", "99"), 1, "no job 99"),
        (("suppression", "remove", "a@example.org", "--yes"), 1, "not on the suppression list"),
    ):
        ran = program.run(*arguments)
        assert (ran.code, message in ran.complaint) == (code, True), ran.complaint
    assert program.ok("lists", "list", "--json").json["total"] == 0


def test_a_person_who_asks_by_telephone_is_taken_off_and_on_again(program: Program) -> None:
    program.ok("contacts", "add", "ann@example.org")
    assert program.ok("contacts", "unsubscribe", "ann@example.org", "--json").json["state"] == "unsubscribed"
    assert program.ok("contacts", "unsubscribe", "ann@example.org", "--json").json["state"] == "unsubscribed"
    back = program.ok("contacts", "resubscribe", "ann@example.org", "--yes", "--json").json
    assert (back["state"], back["consent_source"]) == ("subscribed", "resubscribed: cli")
    assert program.run("contacts", "unsubscribe", "nobody@example.org").code == 1


def test_a_mapping_that_is_saved_and_an_import_that_is_taken_back(
    program: Program, file: str, tmp_path: Path
) -> None:
    saving = ("--map", "city=town", "--save-mapping", "monthly", "--preview", "--json")
    seen = program.ok("import", file, *saving).json
    assert [(each["header"], each["target"]) for each in seen["columns"]][2] == ("city", "town")
    assert program.ok("mappings", "show", "monthly", "--json").json["mapping"] == {"city": "town"}
    done = program.ok("import", file, "--list", "New", "--mapping", "monthly", "--tag", "fair", "--json").json
    assert done["mapping"]["city"] == "town"
    out = tmp_path / "out.csv"
    assert program.ok("export", str(out), "--tag", "fair", "--json").json["contacts"] == 2
    assert out.read_text().startswith("email,first_name,last_name,contact_state,tags,lists,")
    assert program.run("export", str(out), "--format", "xml").code == 2
    assert program.ok("export", "-", "--format", "jsonl").out.count('"town":') == 2
    would = program.ok("jobs", "undo", str(done["job"]), "--dry-run", "--json").json
    assert (would["state"], would["deleted"]) == ("dry-run", 2)
    assert program.ok("jobs", "undo", str(done["job"]), "--yes", "--json").json["deleted"] == 2
    assert program.ok("contacts", "list", "--json").json["total"] == 0
    again = program.run("jobs", "undo", str(done["job"]), "--yes")
    assert (again.code, "taken back already" in again.err) == (1, True)
    missing = program.run("import", file)
    assert (missing.code, "--list is missing" in missing.err) == (2, True)
    program.ok("mappings", "delete", "monthly", "--yes")
    assert program.run("mappings", "show", "monthly").code == 1
