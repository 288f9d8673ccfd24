"""Roles as people name them."""

from mailengine.core.errors import InvalidInput
from mailengine.models import Role


def role_of(text: str) -> Role:
    """The role with this name; raises InvalidInput with the names there are."""
    try:
        return Role(text.strip().lower())
    except ValueError as error:
        names = ", ".join(role.value for role in Role)
        raise InvalidInput(f"{text!r} is no role; choose one of {names}") from error
