"""What may name and locate an organisation."""

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.domain.accounts.countries import COUNTRIES, check_country
from mailengine.domain.accounts.tenants import check_address, check_tenant, slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("Müller & Söhne GmbH", "muller-sohne-gmbh"),
        ("  --Rock 'n' Roll--  ", "rock-n-roll"),
        ("株式会社", "tenant"),
        ("a" * 100, "a" * 63),
        ("a" * 62 + " b", "a" * 62),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_a_postal_address_becomes_one_line() -> None:
    assert check_address("Acme GmbH,\r\n  Street  1\n\n10115 Berlin ") == "Acme GmbH, Street 1, 10115 Berlin"


@pytest.mark.parametrize("address", ["", " \n , \n", "x" * 501])
def test_a_postal_address_must_be_there_and_fit(address: str) -> None:
    with pytest.raises(InvalidInput, match="postal address"):
        check_address(address)


def test_countries_are_those_of_iso_3166() -> None:
    assert len(COUNTRIES) == 249
    assert check_country(" de ") == "DE"
    for wrong in ("", "DEU", "XX", "Germany", "EU"):
        with pytest.raises(InvalidInput, match="country code"):
            check_country(wrong)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a" * 64, "ä"])
def test_a_slug_that_was_given_is_checked(slug: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a tenant"):
        check_tenant(name="Acme", country="DE", postal_address="Street 1", slug=slug)
