"""The guarded database with two tenants, and one person of whom everything there can be is held."""

from support.fixtures import db, other, scope

__all__ = ["db", "other", "scope"]
