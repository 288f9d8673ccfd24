"""Schema changes: `upgrade()` brings a database to this code's schema, under a lock."""
