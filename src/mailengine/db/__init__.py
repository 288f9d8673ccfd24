"""Engines, transactions and tenancy: everything that knows there is a database, nothing that knows mail."""

from mailengine.db.sqlite_library import without_memory_account

without_memory_account()  # before anything of SQLite is imported
