"""The example files: in the wheel as `mailengine/examples`, in a checkout beside `src`."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import mailengine
from mailengine.core.errors import Unavailable
from mailengine.mail.address import AddressError, parse_address


def example(name: str) -> Path:
    """An example file; raises Unavailable where the installation has none."""
    package = Path(mailengine.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / name).is_file():
            return folder / name
    raise Unavailable(f"the example file {name} is not part of this installation; install it from the wheel")


def good_contacts_file(count: int, folder: Path) -> Path:
    """`count` example contacts without the faults of the file."""
    with example("contacts.csv").open(encoding="utf-8", newline="") as file:
        header, *records = list(csv.reader(file))
    target = folder / "seed-contacts.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(itertools.islice(_good(records, len(header)), count))
    return target


def _good(records: list[list[str]], fields: int) -> Iterator[list[str]]:
    seen: set[str] = set()
    for record in records:
        try:
            key = parse_address(record[0]).key
        except AddressError:
            continue
        if len(record) == fields and key not in seen:
            seen.add(key)
            yield record


def contacts_file(count: int, folder: Path) -> Path:
    """The example contacts; cut to `count` records, or repeated under other addresses up to it."""
    source = example("contacts.csv")
    target = folder / "contacts.csv"
    with source.open(encoding="utf-8", newline="") as file:
        header, *records = list(csv.reader(file))
    if count == len(records):
        return source
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(itertools.islice(_endless(records), count))
    return target


def _endless(records: list[list[str]]) -> Iterator[list[str]]:
    yield from records
    for turn in itertools.count(2):
        for address, *rest in records:
            local, at, domain = address.rpartition("@")
            yield [f"{local}.{turn}{at}{domain}", *rest]
