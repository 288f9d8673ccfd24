"""Which column is what: guessed from the headers and the first rows, or said with `--map "Header=field"`
(`"Header=attribute:kind"`)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.attributes import MAX_ATTRIBUTES, attribute_name, check_attribute
from mailengine.domain.contacts.imports.cells import is_answer, says_no
from mailengine.domain.contacts.imports.dialect import Dialect, looks_like_address
from mailengine.domain.contacts.imports.exporters import Exporter, recognise
from mailengine.domain.contacts.imports.headers import FIELDS, SEVERAL, Field, field_of, normalise_header
from mailengine.domain.contacts.imports.state_words import (
    OF_SUBSCRIPTIONS,
    STATE_HEADERS,
    STATES,
    SUBSCRIBED_HEADERS,
    word_of,
)
from mailengine.models import AttributeKind

MAX_COLUMNS = 500  # more is a file with the wrong delimiter or a matrix, not an address book
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What each column becomes: a field's name, an attribute's, or `ignore`."""

    headers: tuple[str, ...]
    targets: tuple[str, ...]
    least_fields: int  # a row with fewer was cut off; columns at the end that nobody named may be missing
    said_kinds: Mapping[str, AttributeKind]  # attributes whose kind a person said
    exporter: Exporter  # the program that wrote the file
    doubtful: Mapping[int, Field] = field(default_factory=dict)  # columns that may yet tell who left

    @property
    def attributes(self) -> dict[str, str]:
        """Attribute name → header."""
        pairs = zip(self.targets, self.headers, strict=True)
        return {target: header for target, header in pairs if target not in FIELDS}

    def shown(self) -> dict[str, str]:
        return dict(zip(self.headers, self.targets, strict=True))


def headers_of(dialect: Dialect) -> tuple[str, ...]:
    """The column names, made up where the file or a cell has none, told apart where two are equal."""
    cells = dialect.first if dialect.has_header else [""] * len(dialect.first)
    if len(cells) > MAX_COLUMNS:
        raise InvalidInput(f"the file has {len(cells)} columns, and {MAX_COLUMNS} is the most")
    names: list[str] = []
    used: Counter[str] = Counter()
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.split())[:200] or f"column {number}"
        used[name] += 1
        names.append(name if used[name] == 1 else f"{name} ({used[name]})")
    return tuple(names)


def map_columns(
    dialect: Dialect, given: Mapping[str, str], *, exporter: Exporter | None = None, unfinished: bool = False
) -> ColumnMap:
    """Raises InvalidInput when no column holds addresses (but in an `unfinished` map), or `given` names what is not
    there. `exporter` wrote the file, where its headers no longer say so."""
    headers = headers_of(dialect)
    said, kinds = _said(headers, given)
    exporter = exporter or recognise(headers)
    targets: list[str | None] = [
        said.get(number) or exporter.field_of(header) or field_of(header)
        for number, header in enumerate(headers)
    ]
    doubtful = _find_states(headers, targets, said, dialect)
    _keep_first(targets, said)
    _settle_names(targets, said)
    if Field.EMAIL not in targets and (column := address_column(dialect, len(targets), said)) is not None:
        targets[column] = Field.EMAIL
    if Field.EMAIL not in targets and not unfinished:
        raise InvalidInput(
            f"no column holds e-mail addresses; the columns are {_list(headers)}; "
            'say which with --map "Header=email"'
        )
    _name_attributes(headers, targets)
    named = [number for number, cell in enumerate(dialect.first, 1) if cell.strip()]
    named_targets = tuple(str(target) for target in targets if target is not None)
    found = ColumnMap(headers, named_targets, max(named), kinds, exporter, doubtful)
    if len(found.attributes) > MAX_ATTRIBUTES:
        raise InvalidInput(
            f"the file has {len(found.attributes)} columns that would become attributes, and "
            f'{MAX_ATTRIBUTES} is the most; leave some out with --map "Header=ignore"'
        )
    return found


def _said(
    headers: Sequence[str], given: Mapping[str, str]
) -> tuple[dict[int, str], dict[str, AttributeKind]]:
    """Column number → what a person said it is, and the kinds of attributes: `score:number`."""
    said: dict[int, str] = {}
    kinds: dict[str, AttributeKind] = {}
    for header, text in given.items():
        target, kind = check_target(text)
        said[_column(headers, header)] = target
        if kind is not None:
            kinds[target] = kind
    doubled = [name for name, count in Counter(said.values()).items() if count > 1 and name not in SEVERAL]
    if doubled:
        raise InvalidInput(f"--map gives {doubled[0]} to two columns")
    return said, kinds


def _column(headers: Sequence[str], wanted: str) -> int:
    if wanted in headers:
        return headers.index(wanted)
    alike = [
        number for number, name in enumerate(headers) if normalise_header(name) == normalise_header(wanted)
    ]
    if len(alike) != 1:
        raise InvalidInput(f"--map: there is no column {wanted!r}; the columns are {_list(headers)}")
    return alike[0]


def check_target(text: str) -> tuple[str, AttributeKind | None]:
    target, _, kind = (part.strip() for part in text.partition(":"))
    target = target or Field.IGNORE
    if target in FIELDS:
        return target, None
    if kind and kind not in set(AttributeKind):
        raise InvalidInput(f"--map: {kind!r} is no kind of attribute; use {', '.join(AttributeKind)}")
    return check_attribute(target), AttributeKind(kind) if kind else None


def _find_states(
    headers: Sequence[str], targets: list[str | None], said: Mapping[int, str], dialect: Dialect
) -> dict[int, Field]:
    """`Status` and `Newsletter` are anything: their cells tell. One word that is said of subscriptions only makes
    states of a column, and rows with others are rejected: read as an attribute it would mail those who left. Returns
    the columns that were not taken for what they may be."""
    doubtful: dict[int, Field] = {}
    for number, header in enumerate(headers):
        plain = normalise_header(header)
        if plain not in STATE_HEADERS | SUBSCRIBED_HEADERS:
            continue
        # A page says of every column what was guessed: a name of its own is a person's word.
        guessed = number in said and said[number] == _attribute(header, number)
        if targets[number] is not None and not guessed:
            continue
        cells = [cell for record in dialect.sample for cell in record[number : number + 1] if cell.strip()]
        words = set(map(word_of, cells))
        if plain in STATE_HEADERS:
            field, is_one = Field.CONTACT_STATE, words <= STATES.keys() or bool(words & OF_SUBSCRIPTIONS)
        else:
            field, is_one = Field.SUBSCRIBED, all(map(is_answer, cells)) or any(map(says_no, cells))
        if not cells or not is_one:
            doubtful[number] = field
        elif not guessed:
            targets[number] = field
    return doubtful


def _keep_first(targets: list[str | None], said: Mapping[int, str]) -> None:
    """One column for each field: the one that was said, else the first; the others become attributes."""
    taken = set(said.values())
    for number, target in enumerate(targets):
        if number in said or target is None or target in SEVERAL:
            continue
        if target in taken:
            targets[number] = None
        taken.add(target)


def _settle_names(targets: list[str | None], said: Mapping[int, str]) -> None:
    """`Name` beside `Vorname` (or voornaam, prénom …) is the last name, alone it is the whole."""
    if Field.FIRST_NAME in targets and Field.LAST_NAME not in targets and Field.FULL_NAME in targets:
        column = targets.index(Field.FULL_NAME)
        if column not in said:
            targets[column] = Field.LAST_NAME


def address_column(dialect: Dialect, width: int, said: Collection[int] = ()) -> int | None:
    """The column whose cells are addresses, when no header says so; none of those that are `said` to be something."""
    rows = dialect.sample if dialect.has_header else [dialect.first, *dialect.sample]
    counts: Counter[int] = Counter()
    for row in rows:
        counts.update(
            number
            for number, cell in enumerate(row[:width])
            if number not in said and looks_like_address(cell)
        )
    if not counts:
        return None
    column, hits = counts.most_common(1)[0]
    return column if hits * 2 >= len(rows) else None


def _name_attributes(headers: Sequence[str], targets: list[str | None]) -> None:
    used = {target for target in targets if target is not None}
    for number, header in enumerate(headers):
        if targets[number] is not None:
            continue
        base = name = _attribute(header, number)
        copy = 2
        while name in used or name in FIELDS:
            name, copy = f"{base[:58]}_{copy}", copy + 1
        used.add(name)
        targets[number] = name


def _attribute(header: str, number: int) -> str:
    return attribute_name(header, fallback=f"column_{number + 1}")


def _list(headers: Sequence[str]) -> str:
    shown = ", ".join(repr(header[:60]) for header in headers[:_SHOWN])
    return shown + (f" and {len(headers) - _SHOWN} more" if len(headers) > _SHOWN else "")
