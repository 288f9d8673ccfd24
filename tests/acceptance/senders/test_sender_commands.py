"""Relays and sending domains from the command line, against a real SMTP server and a real name server."""

from pathlib import Path

import pytest

from peers.catcher import Catcher
from peers.dns_zone import DnsZone
from support.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "data")
    made.init()
    return made


def test_a_relay_is_tried_and_a_message_arrives(program: Program, catcher: Catcher) -> None:
    program.ok("domain", "add", "example.org")
    added = program.ok(
        "relay", "add", "main", "--host", "127.0.0.1", "--port", str(catcher.port), "--tls", "none", "--json"
    ).json
    assert (added["host"], added["port"], added["tls"]) == ("127.0.0.1", catcher.port, "none")
    report = program.ok("relay", "test", "main", "--json").json
    assert report["ok"] is True
    assert [step["name"] for step in report["steps"]][:2] == ["connect", "greeting"]
    assert not catcher.caught
    program.ok("relay", "test", "main", "--to", "ann@example.net", "--from", "news@example.org")
    (caught,) = catcher.caught
    assert caught.recipients == ["ann@example.net"]
    assert caught.message["Subject"] == "Test message from mailengine"
    assert "d=example.org" in caught.message["DKIM-Signature"]


def test_a_relay_that_fails_says_at_what(program: Program, catcher: Catcher) -> None:
    program.ok("relay", "add", "nobody", "--host", "127.0.0.1", "--port", "1", "--tls", "none")
    ran = program.run("relay", "test", "nobody", "--json")
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert "fails at connect" in ran.complaint
    catcher.replies["ann@example.net"] = "550 5.1.1 no such user"
    port = str(catcher.port)
    program.ok("relay", "add", "picky", "--host", "127.0.0.1", "--port", port, "--tls", "none")
    ran = program.run("relay", "test", "picky", "--to", "ann@example.net", "--from", "news@example.org")
    assert ran.code == 1
    assert "fails at rcpt: 550 no such user" in ran.complaint
    assert program.run("relay", "test", "picky", "--to", "ann@example.net").code == 2
    assert program.run("relay", "test", "unknown").code == 1


def test_passwords_go_in_and_never_out(program: Program) -> None:
    add = ("relay", "add", "main", "--host", "smtp.example.org", "--username", "me", "--password-file", "-")
    outputs = [program.ok(*add, stdin="hunter2hunter2\n")]
    outputs += [program.ok("relay", *verb, "--json") for verb in (("show", "main"), ("list",))]
    assert all("hunter2" not in ran.out + ran.err for ran in outputs)
    stored = b"".join(path.read_bytes() for path in program.data_dir.iterdir())
    assert b"hunter2" not in stored
    assert outputs[2].json["items"][0]["username"] == "me"
    assert program.run(*add, stdin="hunter2hunter2\n").code == 1  # the name is taken


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--host", "smtp://example.org"), "host name"),
        (("--host", "smtp.example.org", "--port", "0"), "port 0"),
        (("--host", "smtp.example.org", "--tls", "ssl"), "none, starttls, tls"),
        (("--host", "smtp.example.org", "--username", "me"), "--password-file"),
        (("--host", "smtp.example.org", "--password-file", "-"), "--username"),
    ],
)
def test_a_wrong_relay_is_one_line(program: Program, options: tuple[str, ...], complaint: str) -> None:
    ran = program.run("relay", "add", "main", *options)
    assert ran.code == 2
    assert complaint in ran.complaint
    assert program.ok("relay", "list", "--json").json["total"] == 0


def test_relays_are_removed_when_asked_to(program: Program) -> None:
    program.ok("relay", "add", "main", "--host", "smtp.example.org")
    assert program.run("relay", "remove", "main").code == 2
    assert program.ok("relay", "remove", "main", "--yes", "--json").json["removed"] is True
    assert program.run("relay", "show", "main").code == 1


def test_a_domain_is_verified_once_its_zone_lines_are_served(program: Program, dns_zone: DnsZone) -> None:
    asked = {
        "MAILENGINE_DNS_NAMESERVERS": dns_zone.host,
        "MAILENGINE_DNS_PORT": str(dns_zone.port),
        "MAILENGINE_DNS_TIMEOUT_SECONDS": "2",
    }
    shown = program.ok("domain", "add", "bücher.example", "--json").json
    assert shown["domain"] == "xn--bcher-kva.example"
    assert [record["purpose"] for record in shown["records"]] == ["SPF", "DKIM", "DMARC"]
    ran = program.run("domain", "verify", "bücher.example", "--json", **asked)
    assert (ran.code, ran.json["verified"]) == (1, False)
    assert "SPF, DKIM, DMARC not in place" in ran.complaint
    for line in program.ok("domain", "show", "bücher.example", "--zone").out.splitlines():
        name, _, text = line.partition(". 3600 IN TXT ")
        dns_zone.records[name] = [("TXT", text.removeprefix("( ").removesuffix(" )"))]
    verified = program.ok("domain", "verify", "bücher.example", "--json", **asked).json
    assert verified["verified"] is True
    assert {check["status"] for check in verified["checks"].values()} == {"pass"}
    assert program.ok("domain", "list", "--json").json["items"][0]["verified"] is True
    assert program.run("domain", "add", "xn--bcher-kva.example").code == 1
    assert program.run("domain", "add", "not a domain").code == 2
    assert program.ok("domain", "remove", "bücher.example", "--yes", "--json").json["removed"] is True
    assert program.run("domain", "show", "bücher.example").code == 1


def test_direct_delivery_is_a_relay_without_a_server(program: Program) -> None:
    direct = ("relay", "add-direct")
    added = program.ok(
        *direct, "out", "--helo", "mail.example.org", "--source-address", "192.0.2.1", "--json"
    ).json
    assert (added["kind"], added["helo"], added["host"]) == ("direct", "mail.example.org", None)
    for arguments, words in (
        (("relay", "test", "out"), "no server of its own"),
        ((*direct, "b", "--helo", "mail.example.org", "--source-address", "x"), "no IP address"),
        ((*direct, "b", "--helo", "a b"), "not a host name"),
    ):
        ran = program.run(*arguments)
        assert ran.code == 2
        assert words in ran.complaint
