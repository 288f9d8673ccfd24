"""`mailengine doctor` finds what is wrong and says what to do."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from peers.dns_zone import DnsZone
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
    assert set(found) == {
        "secret", "permissions", "disk", "clock", "open_files", "database", "schema", "integrity", "kill_switch",
        "queue", "stuck", "doubts", "leases", "daemon", "base_url", "relay",
    }  # fmt: skip
    assert found["relay"]["level"] == "ok"
    assert ran.json["severity"] == "warning"  # no daemon, and links lead to this machine only
    assert installation.run("doctor", "--strict").code == 3
    wrong = [each for each in ran.json["findings"] if each["level"] != "ok"]
    assert all(each["why"] and each["todo"] for each in wrong)
    assert "every rule" in installation.ok("doctor").out


def test_a_relay_that_does_not_answer_is_an_error_unless_offline(patient: Installation) -> None:
    ran = patient.run("doctor", "--json")
    assert (ran.code, findings(ran)["relay"]["level"]) == (1, "error")
    assert "relay test main" in findings(ran)["relay"]["todo"]
    assert "relay" not in findings(patient.ok("doctor", "--offline", "--json"))


def test_a_relay_that_was_in_trouble_is_told_wherever_relays_are(patient: Installation) -> None:
    with sqlite3.connect(patient.database) as connection:
        trouble = ("relaying \x1b[31mdenied", "2026-11-27 01:02:03.000000")
        connection.execute("UPDATE relays SET trouble = ?, trouble_at = ?", trouble)
    connection.close()
    (found,) = all_of(patient.run("doctor", "--json"), "relay_trouble")
    assert (found["level"], "01:02 UTC: relaying" in found["words"]) == ("warning", True)
    (relay,) = patient.ok("relay", "list", "--json").json["items"]
    assert (relay["trouble"], relay["trouble_at"]) == (trouble[0], "2026-11-27T01:02:03+00:00")
    listed = patient.ok("relay", "list").out
    assert "relaying" in listed
    assert "\x1b" not in listed


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


@pytest.fixture
def watched(patient: Installation, dns_zone: DnsZone) -> Installation:
    """An installation with a sending domain, direct delivery and a resolver of its own."""
    patient.environment |= {
        "MAILENGINE_DNS_NAMESERVERS": dns_zone.host,
        "MAILENGINE_DNS_PORT": str(dns_zone.port),
        "MAILENGINE_DNS_TIMEOUT_SECONDS": "1",
        "MAILENGINE_DNS_BLOCKLISTS": "list.test",
    }
    patient.ok("domain", "add", "example.org")
    patient.ok("relay", "add-direct", "own", "--helo", "mx.example.org")
    return patient


def all_of(ran: Ran, name: str) -> list[dict[str, Any]]:
    return [finding for finding in ran.json["findings"] if finding["name"] == name]


def test_the_dns_of_a_domain_and_of_direct_delivery(watched: Installation, dns_zone: DnsZone) -> None:
    ran = watched.run("doctor", "--json")
    assert [(name, all_of(ran, name)[0]["level"]) for name in ("spf", "dkim", "dmarc", "mx", "alignment", "ptr")] == [
        ("spf", "error"), ("dkim", "error"), ("dmarc", "error"), ("mx", "warning"), ("alignment", "warning"),
        ("ptr", "error"),
    ]  # fmt: skip
    for record in watched.ok("domain", "show", "example.org", "--json").json["records"]:
        dns_zone.records.setdefault(record["name"], []).append(("TXT", _quoted(record["value"])))
    dns_zone.records["example.org"].append(("MX", "10 mx.example.org."))
    dns_zone.records["mx.example.org"] = [("A", "127.0.0.1")]
    dns_zone.records["1.0.0.127.in-addr.arpa"] = [("PTR", "mx.example.org.")]
    ran = watched.run("doctor", "--json")
    for name in ("spf", "dkim", "dmarc", "mx", "alignment", "ptr"):
        assert all_of(ran, name)[0]["level"] == "ok", all_of(ran, name)
    assert "of 10 lookups" in all_of(ran, "spf")[0]["words"]
    (port_25,) = all_of(ran, "port_25")
    assert port_25["level"] in ("ok", "error")  # whether something listens there is this machine's business
    dns_zone.records["1.0.0.127.in-addr.arpa"] = [("PTR", "customer-17.provider.test.")]
    (ptr,) = all_of(watched.run("doctor", "--json"), "ptr")
    assert "customer-17.provider.test" in ptr["words"]


def _quoted(value: str) -> str:
    return " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))


def test_a_listed_address_and_a_list_that_does_not_answer_us(
    watched: Installation, dns_zone: DnsZone
) -> None:
    dns_zone.records["mx.example.org"] = [("A", "192.0.2.7")]
    listed = dns_zone.records["7.2.0.192.list.test"] = [("A", "127.0.0.2")]
    (found,) = all_of(watched.run("doctor", "--json"), "blocklist")
    assert (found["level"], "list.test" in found["words"]) == ("error", True)
    listed[:] = [("A", "127.255.255.254")]
    (found,) = all_of(watched.run("doctor", "--json"), "blocklist")
    assert found["level"] == "warning"
    del dns_zone.records["7.2.0.192.list.test"]
    (found,) = all_of(watched.run("doctor", "--json"), "blocklist")
    assert found["level"] == "ok"
    asked = [name for name, _ in dns_zone.asked]
    assert "7.2.0.192.list.test" in asked
    dns_zone.asked.clear()
    watched.run("doctor", "--offline")
    assert dns_zone.asked == []


def test_a_resolver_that_is_dead_is_a_warning(watched: Installation, dns_zone: DnsZone) -> None:
    dns_zone.silent |= {"example.org", "_dmarc.example.org", "me1._domainkey.example.org", "mx.example.org"}
    ran = watched.run("doctor", "--json")
    assert {all_of(ran, name)[0]["level"] for name in ("spf", "dkim", "dmarc", "mx", "ptr")} == {"warning"}


def test_what_holds_the_queue_is_said(patient: Installation) -> None:
    patient.ok("kill-switch", "on", "--reason", "looking")
    (found,) = all_of(patient.run("doctor", "--offline", "--json"), "kill_switch")
    assert (found["level"], "1 of the tenants" in found["words"]) == ("warning", True)
    patient.data_dir.chmod(0o755)
    patient.database.chmod(0o644)
    (found,) = all_of(patient.run("doctor", "--offline", "--json"), "permissions")
    assert (found["level"], "chmod" in found["todo"]) == ("warning", True)


def test_a_base_url_that_leads_nowhere_is_an_error(patient: Installation) -> None:
    ran = patient.run("doctor", "--json", MAILENGINE_WEB_BASE_URL="http://127.0.0.1:1")
    assert all_of(ran, "proxy")[0]["level"] == "error"
