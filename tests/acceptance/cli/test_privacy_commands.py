"""What a person may ask for, from the command line."""

import json
from pathlib import Path

from support.installation import Installation


def test_a_person_sees_everything_and_is_forgotten(installation: Installation, tmp_path: Path) -> None:
    known = installation.ok("contacts", "list", "--json").json["items"]
    address = known[0]["email"]
    to = tmp_path / "person.json"
    installation.ok("privacy", "export-person", address, "--output", str(to))
    held = json.loads(to.read_text())
    assert held["contacts"][0]["email"] == address
    assert held["list_members"][0]["list"] == "Customers"
    assert installation.run("privacy", "export-person", address, "--output", str(to)).code == 2
    assert installation.run("privacy", "erase", address).code == 2, "it asks, and nobody answers"
    told = installation.ok("privacy", "erase", address, "--yes", "--json").json
    assert told["rows"]["contacts"] == 1
    assert installation.run("contacts", "show", address).code == 1
    again = tmp_path / "again.csv"
    again.write_text(f"email\n{address}\n")
    report = installation.ok("import", str(again), "--list", "Customers", "--json").json
    assert (report["rejected"], report["created"]) == (1, 0)
    everything = (
        installation.ok("contacts", "list", "--json").out
        + installation.ok("contacts", "deleted", "--json").out
    )
    assert address not in everything


def test_a_suppression_list_goes_out_and_comes_in(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("gone@example.org\n@spam.example\nnonsense\n")
    taken = installation.ok("suppression", "import", str(path), "--reason", "old system", "--json").json
    assert (taken["added"], taken["rejected"], taken["problems"][0]["line"]) == (2, 1, 3)
    out = installation.ok("suppression", "export").out
    assert "address,gone@example.org,old system,import of list.txt," in out
    path.write_text(out)
    again = installation.ok("suppression", "import", str(path), "--json").json
    assert again["known"] == len(out.splitlines()) - 1
    assert installation.run("suppression", "import", str(tmp_path / "none.csv")).code == 2


def test_a_template_comes_back(installation: Installation) -> None:
    installation.ok("template", "duplicate", "Newsletter", "Copy")
    installation.ok("template", "delete", "Copy", "--yes")
    assert [row["name"] for row in installation.ok("template", "deleted", "--json").json["items"]] == ["Copy"]
    installation.ok("template", "restore", "Copy")
    assert installation.ok("template", "deleted", "--json").json["items"] == []
