"""Which addresses are out on the internet, which names are host names, and whose hosts they are."""

import pytest

from mailengine.domain.delivery.mx import MailHost, MailHosts, is_host_name, is_public, provider_group
from mailengine.domain.delivery.provider_groups import group_of_host


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::7f00:1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "name", ["mx.example.org", "a", "mx_1.example.org", "xn--e1afmkfd.xn--p1ai", "1.2.3.4"]
)
def test_host_name(name: str) -> None:
    assert is_host_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "-a.org", "a b", "a\n", "a\\032b", "grün.de", "a." + "b" * 254, "[192.0.2.1]"]
)
def test_no_host_name(name: str) -> None:
    assert not is_host_name(name)


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("aspmx.l.google.com", "google"),
        ("alt1.gmail-smtp-in.l.google.com", "google"),
        ("example-org.mail.protection.outlook.com", "microsoft"),
        ("hotmail-com.olc.protection.outlook.com", "microsoft"),
        ("example-org.a-v1.mx.microsoft", "microsoft"),
        ("mta7.am0.yahoodns.net", "yahoo"),
        ("mx00.gmx.net", "gmx"),
        ("MX-HA03.WEB.DE.", "gmx"),
        ("mx1.mail.icloud.com", "apple"),
        ("inbound-smtp.eu-west-1.amazonaws.com", "amazon"),
        ("route1.mx.cloudflare.net", "cloudflare"),
        ("notgoogle.com", "notgoogle.com"),
        ("google.com.evil.test", "evil.test"),
        ("mx1.mail.example.org", "example.org"),
        ("example.org", "example.org"),
        ("mx.example.co.uk", "example.co.uk"),
        ("example.co.uk", "example.co.uk"),
        ("mail.university.ac.jp", "university.ac.jp"),
        ("mx.com.de", "mx.com.de"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_group_of_host(host: str, group: str) -> None:
    assert group_of_host(host) == group


def test_the_group_does_not_depend_on_the_order_of_equal_hosts() -> None:
    hosts = (
        MailHost("mx.b.test", 10, ("192.0.2.1",)),
        MailHost("mx.a.test", 10, ("192.0.2.2",)),
        MailHost("mx.z.test", 5, ("192.0.2.3",)),
    )
    for turned in (hosts, hosts[::-1]):
        assert provider_group(MailHosts("example.test", turned)) == "z.test"
        assert (
            provider_group(MailHosts("example.test", turned[:2] if turned is hosts else turned[1:]))
            == "a.test"
        )
