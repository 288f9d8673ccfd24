"""The fixtures that these tests share with others."""

from support.fixtures import db, other, scope

__all__ = ["db", "other", "scope"]
