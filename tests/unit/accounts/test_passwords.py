"""Passwords: what is accepted, and that an unknown user costs as much as a known one."""

import pytest
from argon2 import PasswordHasher, extract_parameters

from mailengine.core.errors import InvalidInput
from mailengine.domain.accounts import users
from mailengine.domain.accounts.users import UNKNOWN_USER, check_password, hash_password, verify_password

pytestmark = pytest.mark.anyio


@pytest.fixture
def full_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_hasher", PasswordHasher.from_parameters(users.COST))


@pytest.mark.parametrize("password", ["", "123456789", "x" * 1001, "Ann@Example.ORG"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="password"):
        check_password(password, email="ann@example.org")


def test_ten_characters_of_any_script_are_enough() -> None:
    assert check_password("гусеница10", email="ann@example.org") == "гусеница10"


async def test_a_hash_fits_its_password_only() -> None:
    hashed = await hash_password("correct horse")
    assert await verify_password(hashed, "correct horse")
    assert not await verify_password(hashed, "correct horsf")
    assert not await verify_password(hashed, "x" * 100_000)
    assert not await verify_password("not a hash", "correct horse")


async def test_the_hash_of_an_unknown_user_costs_the_same_and_fits_nothing(full_cost: None) -> None:
    assert (users.COST.memory_cost, users.COST.time_cost) == (65536, 3)
    assert extract_parameters(UNKNOWN_USER) == extract_parameters(await hash_password("x" * 10))
    assert not await verify_password(UNKNOWN_USER, "")
