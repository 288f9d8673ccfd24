"""Tenants, users and their credentials, and the record of who did what."""
