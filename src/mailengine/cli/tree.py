"""The commands by topic, each imported when it is used: all together take longer than most of what they do."""

from collections import UserDict
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

# Topic → command → where it is (module of `commands`: app or function) and what `mailengine --help` says of it.
TOPICS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "demo": ("demo:demo", "Show everything at work, in a directory of its own."),
        "init": ("init:init", "Make an installation."),
        "daemon": ("daemon:daemon", "Run it: web pages, sending, jobs."),
        "setup-link": ("setup_link:setup_link", "A link for the first user, where nobody can log in yet."),
        "tui": ("tui:tui", "Watch and steer everything in a terminal."),
        "seed": ("seed:seed", "Fill an empty installation with made-up contacts."),
    },
    "Contacts": {
        "import": ("imports:import_", "Import contacts from a file."),
        "export": ("exports:export", "Export contacts into a file."),
        "mappings": ("mappings:app", "Saved mappings of columns."),
        "contacts": ("contact_life:app", "Contacts: list, find, add, delete and bring back."),
        "lists": ("lists:app", "Lists of contacts."),
        "tags": ("tags:app", "Tags: short labels on contacts."),
        "attributes": ("attributes:app", "Custom fields of contacts."),
        "segments": ("segments:app", "Segments: rules that describe contacts."),
        "forms": ("forms:app", "Sign-up forms: public pages that lead to lists."),
        "suppression": ("suppression:app", "Addresses and domains that must not be mailed."),
        "privacy": ("privacy:app", "Show, export and erase what is held of people."),
        "upkeep": ("upkeep:app", "List hygiene, and how long data is kept."),
    },
    "Messages": {
        "template": ("previews:app", "Templates of messages."),
        "campaign": ("scheduling:app", "Campaigns: drafts, sending, reports."),
        "send": ("messages:send", "Queue one message to one person."),
    },
    "Delivery": {
        "relay": ("relays:app", "SMTP servers that take your mail."),
        "domain": ("domains:app", "Domains that you send from."),
        "limit": ("limits:app", "How much may be sent: in all, by relay, to a provider."),
        "warm-up": ("warm_up:app", "Let a new sender start slowly."),
        "quiet-hours": ("quiet_hours:app", "The part of the day in which campaigns rest."),
        "reputation": ("reputation:reputation", "Bounces and complaints of 30 days."),
        "kill-switch": ("kill_switch:app", "Stop all sending at once."),
        "delivery": ("delivery:app", "What did not arrive, or may not have."),
    },
    "People": {
        "tenant": ("tenants:app", "Organisations that this installation sends for."),
        "user": ("users:app", "People who can log in."),
        "api-key": ("keys:app", "Keys for programs that use the API."),
        "audit": ("audit:app", "Who did what, and when."),
    },
    "Operation": {
        "doctor": ("doctor:doctor", "Examine the installation."),
        "healthcheck": ("healthcheck:healthcheck", "Ask this machine's daemon whether it can serve."),
        "jobs": ("jobs:app", "Imports and other long work."),
        "service": ("service:app", "The daemon under systemd."),
        "config": ("config:app", "Settings and the secret."),
        "backup": ("backups:backup", "Write everything into one file."),
        "restore": ("backups:restore", "Go back to a backup."),
        "upgrade": ("backups:upgrade", "Back up, then bring the database to this version."),
        "migrate-database": ("backups:migrate_database", "From SQLite to PostgreSQL."),
        "debug": ("debug:app", "Each step of the way by hand, for support and scripts."),
    },
}  # fmt: skip


class _Commands(UserDict[str, Any]):
    """Click commands by name; importing one is what looking it up does."""

    def __getitem__(self, name: str) -> Any:
        place, summary = self.data[name]
        module, attribute = place.split(":")
        found = getattr(import_module(f"mailengine.cli.commands.{module}"), attribute)
        alone = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            alone.add_typer(found, name=name, help=summary)
        else:
            alone.command(name, short_help=summary)(found)
        return get_group(alone).commands[name]


class Tree(TyperGroup):
    """The root: its help is written from the table, without importing any command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands({name: entry for topic in TOPICS.values() for name, entry in topic.items()})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(len(name) for name in self.commands)
        for topic, entries in TOPICS.items():
            with formatter.section(topic):
                formatter.write_dl(
                    [(name.ljust(width), summary) for name, (_place, summary) in entries.items()]
                )
