"""What a relay may be."""

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.domain.senders.dns import DnsRecord, records
from mailengine.domain.senders.domains import check_domain
from mailengine.domain.senders.relays import RelayDetails, check_host, check_relay
from mailengine.models import SendingDomain, Tls
from support.house import NOW


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("smtp.example.org", "smtp.example.org"),
        (" SMTP.Example.org. ", "smtp.example.org"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("mail-1", "mail-1"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    assert check_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "smtp://example.org",
        "example.org:25",
        "a b",
        "-a.example",
        "a..b",
        "1.2.3",
        "256.0.0.1",
        "x" * 64,
        "a.\r\nb",
        "ann@example.org",
        "é" * 64 + ".example",
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(InvalidInput, match="host name"):
        check_host(text)


def relay(**changed: object) -> RelayDetails:
    given: dict[str, object] = {"name": "main", "host": "127.0.0.1", "port": 25, "tls": Tls.NONE, **changed}
    return check_relay(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"port": 0}, "port 0"),
        ({"port": 65536}, "port 65536"),
        ({"name": " "}, "relay's name"),
        ({"name": "a\nb"}, "relay's name"),
        ({"username": "me"}, "both"),
        ({"password": "secret"}, "both"),
        ({"username": "me", "password": "a\r\nQUIT"}, "control"),
        ({"host": "192.0.2.1", "username": "me", "password": "x"}, "unencrypted"),
    ],
)
def test_what_is_no_relay(changed: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        relay(**changed)


def test_a_password_never_shows() -> None:
    assert "hidden" not in repr(relay(username="me", password="hidden"))


@pytest.mark.parametrize(
    ("text", "domain"),
    [("Example.ORG.", "example.org"), ("bücher.example", "xn--bcher-kva.example")],
)
def test_domains(text: str, domain: str) -> None:
    assert check_domain(text) == domain


@pytest.mark.parametrize("text", ["", "localhost", "a b.example", "https://example.org", "a@b.example"])
def test_what_is_no_domain(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no domain"):
        check_domain(text)


def test_a_long_value_is_split_for_a_zone_file() -> None:
    line = DnsRecord("DKIM", "me1._domainkey.example.org", "v=DKIM1; p=" + "A" * 400).zone_line
    first, second = line.split('"')[1::2]
    assert line.startswith("me1._domainkey.example.org. 3600 IN TXT ( ")
    assert len(first) == 255
    assert first + second == "v=DKIM1; p=" + "A" * 400


@pytest.mark.parametrize(
    ("hosts", "spf"),
    [
        ([], "v=spf1 a mx ~all"),
        (["127.0.0.1", "10.0.0.1", "localhost"], "v=spf1 a mx ~all"),
        (["8.8.8.8", "smtp.example.net", "smtp.example.net"], "v=spf1 ip4:8.8.8.8 a:smtp.example.net ~all"),
    ],
)
def test_the_spf_record_names_relays_that_the_world_sees(hosts: list[str], spf: str) -> None:
    domain = SendingDomain(tenant_id=1, domain="example.org", created_at=NOW)
    assert records(domain, [], relay_hosts=hosts)[0].value == spf
