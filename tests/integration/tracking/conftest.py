"""The fixtures that these tests share with others."""

from support.fixtures import db, scope

__all__ = ["db", "scope"]
