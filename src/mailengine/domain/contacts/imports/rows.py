"""From a record of the file to a contact as it would be stored, or to the reason why not."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from mailengine.core.wording import counted
from mailengine.domain.contacts.attribute_values import Value, parse
from mailengine.domain.contacts.contacts import MAX_PERSON_NAME
from mailengine.domain.contacts.imports.cells import (
    is_said,
    parse_consent_date,
    parse_state,
    parse_subscribed,
    parse_tags,
    says_no,
)
from mailengine.domain.contacts.imports.encoding import UNDECODED
from mailengine.domain.contacts.imports.headers import FIELDS, Field
from mailengine.domain.contacts.imports.mapping import ColumnMap
from mailengine.domain.contacts.imports.names import split_name
from mailengine.domain.contacts.imports.state_words import LEAVING, word_of
from mailengine.domain.contacts.states import LEFT
from mailengine.mail.address import AddressError, parse_address
from mailengine.models import AttributeKind, ContactState


class Row(NamedTuple):
    """One contact of the file; `attributes` holds no empty values."""

    line: int
    email: str
    key: str
    first_name: str
    last_name: str
    attributes: dict[str, Value]
    consent: tuple[str, datetime | None, str] | None  # source, date, address; None: the file does not say
    state: ContactState | None = None  # None: the file does not say
    tags: tuple[str, ...] = ()


class Rejected(NamedTuple):
    line: int
    reason: str
    fields: list[str]


class RowReader:
    """Turns records into rows by a map of columns. `kinds` has each attribute's; `check_text`: not all of the
    file decodes."""

    def __init__(
        self, columns: ColumnMap, kinds: Mapping[str, AttributeKind], *, check_text: bool, now: datetime
    ) -> None:
        targets = columns.targets
        places = {target: number for number, target in enumerate(targets) if target in FIELDS}
        self._width = len(targets)
        self._least = columns.least_fields
        self._blank = [""] * self._width
        self._check_text = check_text
        self._email = places[Field.EMAIL]
        self._first = places.get(Field.FIRST_NAME)
        self._last = places.get(Field.LAST_NAME)
        self._full = places.get(Field.FULL_NAME)
        self._consent = [
            places.get(field) for field in (Field.CONSENT_SOURCE, Field.CONSENT_AT, Field.CONSENT_IP)
        ]
        self._has_consent = any(place is not None for place in self._consent)
        self._latest_consent = now + timedelta(days=1)  # where the file comes from it may be tomorrow
        self._tags = places.get(Field.TAGS)
        self._states = [number for number, target in enumerate(targets) if target == Field.CONTACT_STATE]
        self._left = [
            (number, state)
            for field, state in (
                (Field.BOUNCED, ContactState.BOUNCED),
                (Field.UNSUBSCRIBED, ContactState.UNSUBSCRIBED),
            )
            for number, target in enumerate(targets)
            if target == field
        ]
        self._answers = [number for number, target in enumerate(targets) if target == Field.SUBSCRIBED]
        self._doubtful = [
            (number, columns.headers[number], field) for number, field in columns.doubtful.items()
        ]
        self._has_state = bool(self._states or self._left or self._answers or self._doubtful)
        self._exporter = columns.exporter
        self._attributes = [
            (name, kinds[name], number) for number, name in enumerate(targets) if name not in FIELDS
        ]

    def read(self, line: int, fields: list[str]) -> Row | Rejected:
        cells = fields
        if len(fields) != self._width:
            if len(fields) < self._least or any(fields[self._width :]):
                return Rejected(
                    line,
                    f"it has {counted(len(fields), 'field', 'fields')}, the header {self._width}",
                    fields,
                )
            cells = fields + self._blank[len(fields) :]
        if self._check_text and any(map(UNDECODED.search, cells)):
            return Rejected(line, "it holds bytes that are no text in the file's encoding", fields)
        try:
            if self._exporter.rewrites:
                cells = self._exporter.rewritten(cells, self._email)
            address = parse_address(cells[self._email])
            first, last = self._names(cells)
            attributes = self._values(cells)
            consent = self._consent_of(cells) if self._has_consent else None
            state = self._state_of(cells) if self._has_state else None
            tags = parse_tags(cells[self._tags].strip()) if self._tags is not None else ()
        except AddressError as error:
            return Rejected(line, f"address: {error.reason}", fields)
        except ValueError as error:
            return Rejected(line, str(error), fields)
        return Row(line, address.email, address.key, first, last, attributes, consent, state, tags)

    def _names(self, cells: list[str]) -> tuple[str, str]:
        first = _one_line(cells[self._first]) if self._first is not None else ""
        last = _one_line(cells[self._last]) if self._last is not None else ""
        if self._full is not None and not first and not last:
            first, last = split_name(_one_line(cells[self._full]))
        if len(first) > MAX_PERSON_NAME or len(last) > MAX_PERSON_NAME:
            raise ValueError(f"a name is longer than {MAX_PERSON_NAME} characters")
        return first, last

    def _values(self, cells: list[str]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, kind, number in self._attributes:
            if text := cells[number].strip():
                try:
                    value = _parse(kind, text)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                if value != []:  # a cell of separators alone
                    values[name] = value
        return values

    def _state_of(self, cells: list[str]) -> ContactState | None:
        for place, left_as in self._left:
            if is_said(cells[place]):
                return left_as
        for place, header, field in self._doubtful:
            if says_no(cells[place]) if field is Field.SUBSCRIBED else word_of(cells[place]) in LEAVING:
                raise ValueError(
                    f"{header} is {cells[place].strip()[:40]!r}: map the column to {field}, or to an attribute of "
                    "another name"
                )
        stated = [state for place in self._states if (state := parse_state(cells[place])) is not None]
        answers = [parse_subscribed(cells[place]) for place in self._answers]
        told = [*stated, *answers]
        if len(told) < 2:
            return told[0] if told else None
        if left := next((state for state in told if state in LEFT), None):
            return left
        if stated:
            return next((state for state in stated if state is not ContactState.SUBSCRIBED), stated[0])
        # Who agreed in one column need not in the others.
        if ContactState.SUBSCRIBED in answers:
            return ContactState.SUBSCRIBED
        return answers[0]

    def _consent_of(self, cells: list[str]) -> tuple[str, datetime | None, str] | None:
        source, date, address = self._consent
        return _consent(
            "" if source is None else cells[source],
            "" if date is None else cells[date],
            "" if address is None else cells[address],
            self._latest_consent,
        )


@lru_cache(1 << 12)  # a form is one source for many, and people sign up on the same days
def _consent(
    source: str, date: str, address: str, latest: datetime
) -> tuple[str, datetime | None, str] | None:
    source, address, moment = (
        _one_line(source),
        _one_line(address),
        parse_consent_date(_one_line(date), latest),
    )
    if not source and moment is None and not address:
        return None
    return source[:200], moment, address[:45]


_parse = lru_cache(1 << 14)(parse)  # the same cities, plans and days come in every second row


@lru_cache(1 << 12)  # first names are few
def _one_line(text: str) -> str:
    return " ".join(text.split())
