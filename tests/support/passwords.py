"""Passwords that cost next to nothing within the tests' own process: each of the real ones takes 0.2 s of a core, and
most tests that log in are about something else. Programs that tests start pay the full price."""

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from mailengine.domain.accounts import users


def hash_cheaply() -> None:
    pytest.MonkeyPatch().setattr(users, "_hasher", PasswordHasher.from_parameters(CHEAPEST))  # for good
