"""Engines, transactions and tenancy: everything that knows there is a database, nothing that knows mail."""
