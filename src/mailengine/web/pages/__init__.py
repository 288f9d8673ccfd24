"""The pages behind the login, rendered on the server; htmx brings what changes."""
