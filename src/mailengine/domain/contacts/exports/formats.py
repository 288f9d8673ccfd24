"""How an exported contact reads: CSV for spreadsheets and for coming back, JSON Lines for programs.

What a CSV says comes back equal when it is imported: values in their one text (`attribute_values.text_of`),
formulas made harmless in a way that can be undone (`formulas`).
"""

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from mailengine.domain.contacts.attribute_values import moment_text, text_of
from mailengine.domain.contacts.formulas import defused
from mailengine.models import Contact, MemberState

FIXED = (
    "email", "first_name", "last_name", "contact_state", "tags", "lists",
    "consent_source", "consent_at", "consent_ip", "created_at", "updated_at",
)  # fmt: skip


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


class Exported(NamedTuple):
    """A contact with its tags, and its state on each of its lists."""

    contact: Contact
    tags: Sequence[str]
    lists: dict[str, MemberState]


def head(form: Format, attributes: Sequence[str]) -> str:
    """What stands before the first contact."""
    return _csv([[*FIXED, *attributes]]) if form is Format.CSV else ""


def page(form: Format, rows: Sequence[Exported], attributes: Sequence[str]) -> str:
    if form is Format.CSV:
        return _csv([[defused(cell) for cell in _cells(row, attributes)] for row in rows])
    return "".join(msgspec.json.encode(_object(row)).decode() + "\n" for row in rows)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(row: Exported, attributes: Sequence[str]) -> list[str]:
    contact = row.contact
    consent_at = moment_text(contact.consent_at) if contact.consent_at else ""
    lists = [
        name if state != MemberState.UNSUBSCRIBED else f"{name} ({state})"
        for name, state in row.lists.items()
    ]
    values = contact.attributes
    return [
        contact.email,
        contact.first_name,
        contact.last_name,
        contact.state,
        text_of(row.tags),
        text_of(lists),
        contact.consent_source,
        consent_at,
        contact.consent_ip,
        moment_text(contact.created_at),
        moment_text(contact.updated_at),
        *(text_of(values[name]) if name in values else "" for name in attributes),
    ]


def _object(row: Exported) -> dict[str, Any]:
    contact = row.contact
    return {
        "id": contact.id,
        "email": contact.email,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "state": contact.state,
        "tags": list(row.tags),
        "lists": row.lists,
        "attributes": contact.attributes,
        "consent_source": contact.consent_source,
        "consent_at": contact.consent_at,
        "consent_ip": contact.consent_ip,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
    }
