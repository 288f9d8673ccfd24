"""`mailengine seed`: what a developer starts from."""

from pathlib import Path

from support.program import Program


def test_it_makes_an_installation_with_something_to_see(tmp_path: Path) -> None:
    program = Program(tmp_path)
    made = program.ok("seed", "--json").json
    assert (made["contacts"], made["templates"], made["campaigns"]) == (500, 3, 2)
    assert made["password"]
    report = program.ok("campaign", "report", "Autumn letter", "--json").json
    assert report["state"] == "sent"
    assert report["sent"] + report["failed"] == 500
    names = {row["name"]: row["state"] for row in program.ok("campaign", "list", "--json").json["items"]}
    assert names == {"Autumn letter": "sent", "Spring offer": "draft"}
    assert program.ok("kill-switch", "status", "--json").json["total"] == 0


def test_it_never_mixes_with_real_contacts(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.ok("seed")
    ran = program.run("seed")
    assert ran.code == 1
    assert "has contacts already" in ran.complaint
