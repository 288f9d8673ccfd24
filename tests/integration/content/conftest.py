from support.fixtures import db, other, scope

__all__ = ["db", "other", "scope"]
