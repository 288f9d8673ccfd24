"""The example files: in the wheel as `mailengine/examples`, in a checkout beside `src`."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import mailengine
from mailengine.core.errors import Unavailable


def example(name: str) -> Path:
    """An example file; raises Unavailable where the installation has none."""
    package = Path(mailengine.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / name).is_file():
            return folder / name
    raise Unavailable(f"the example file {name} is not part of this installation; install it from the wheel")


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
