"""An installation that commands are tried on: a tenant, contacts, a template, a relay and a draft."""

import sqlite3
from pathlib import Path

from support.program import Program

HTML = (
    "<html><body><p>{Hi|Hello} {{ first_name|default('there') }} of {{ city }}!</p>"
    '<script>alert(1)</script><p><a href="https://acme.de/offer">The offer</a></p>'
    '<p>{{ organisation }}, {{ postal_address }} <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>'
)
CONTACTS = (
    "Email,First name,Last name,City\n"
    "ann@example.net,Ann,Müller,Köln\n"
    "bob@example.net,Bob,,Paris\n"
    "cyd@example.net,Cyd,O'Neil,\n"
)


class Installation(Program):
    """A program with a tenant, three contacts, a template, a relay that catches, and a draft."""

    @property
    def database(self) -> Path:
        return self.data_dir / "mailengine.sqlite3"

    def draft(self, name: str) -> None:
        self.ok(
            "campaign", "create", "--name", name, "--template", "Newsletter", "--list", "Customers",
            "--subject", "News for {{ first_name }}", "--from", "Acme <news@example.org>",
        )  # fmt: skip

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.database) as connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows


def install(folder: Path, relay_port: int) -> Installation:
    """Everything by commands, as a person would; `Acme` is the tenant of each call, `Other` a stranger."""
    made = Installation(folder / "data")
    made.init()
    page, people = folder / "newsletter.html", folder / "contacts.csv"
    page.write_text(HTML)
    people.write_text(CONTACTS)
    made.ok("import", str(people), "--list", "Customers")
    made.ok("template", "add", str(page), "--name", "Newsletter")
    made.ok("relay", "add", "main", "--host", "127.0.0.1", "--port", str(relay_port), "--tls", "none")
    made.draft("Spring")
    made.ok("tenant", "add", "Other", "--country", "DE", "--address", "Street 2")
    made.environment = {"MAILENGINE_TENANT": "acme"}
    return made
