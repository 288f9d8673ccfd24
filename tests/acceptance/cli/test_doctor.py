"""`mailengine doctor` finds what is wrong and says what to do."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from support.installation import Installation, install
from support.program import Program, Ran


@pytest.fixture
def patient(tmp_path: Path) -> Installation:
    """An installation whose relay is a closed port."""
    return install(tmp_path, 1)


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in ran.json["findings"]}


def test_a_healthy_installation(installation: Installation) -> None:
    ran = installation.ok("doctor", "--json")
    assert ran.json["healthy"] is True
    found = findings(ran)
    assert set(found) == {"secret", "disk", "database", "integrity", "daemon", "relay"}
    assert found["relay"]["level"] == "ok"
    assert "every rule" in installation.ok("doctor").out


def test_a_relay_that_does_not_answer_is_an_error_unless_offline(patient: Installation) -> None:
    ran = patient.run("doctor", "--json")
    assert (ran.code, findings(ran)["relay"]["level"]) == (1, "error")
    assert "relay test main" in findings(ran)["relay"]["todo"]
    assert "relay" not in findings(patient.ok("doctor", "--offline", "--json"))


def test_a_secret_that_others_can_read_is_an_error(patient: Installation) -> None:
    secret = patient.data_dir / "secret.key"
    secret.chmod(0o644)
    ran = patient.run("doctor", "--offline", "--json")
    assert (ran.code, findings(ran)["secret"]["level"]) == (1, "error")
    assert "chmod 600" in findings(ran)["secret"]["todo"]


def test_a_ledger_that_does_not_add_up_is_an_error(patient: Installation) -> None:
    with sqlite3.connect(patient.database) as connection:
        connection.execute("UPDATE campaigns SET state = 'sent'")
    connection.close()
    ran = patient.run("doctor", "--offline", "--json")
    assert (ran.code, findings(ran)["integrity"]["level"]) == (1, "error")
    with sqlite3.connect(patient.database) as connection:
        connection.execute("UPDATE campaigns SET state = 'draft'")
    connection.close()


def test_no_installation_and_a_foreign_database_are_said(tmp_path: Path, patient: Installation) -> None:
    ran = Program(tmp_path / "nothing").run("doctor", "--json")
    assert ran.code == 1
    assert "init" in findings(ran)["database"]["words"]
    patient.database.write_bytes(b"not a database" * 100)
    ran = patient.run("doctor", "--offline", "--json")
    assert (ran.code, findings(ran)["database"]["level"]) == (1, "error")
