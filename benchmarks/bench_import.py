"""How long `mailengine import` takes, beside the least that storing such rows can cost: SQLite's own bulk insert and
PostgreSQL's COPY of the same rows into a table with the same indexes. A row is an address, two names, five
attributes, two tags and a consent.

The import also normalises addresses, looks each up, types the attributes, joins the list and remembers how to take
everything back.
"""

import asyncio
import csv
import gc
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.stage import postgres
from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file
from mailengine.migrations.run import upgrade

HEADER = (
    "email", "first_name", "last_name", "city", "country", "plan", "score", "signed_up",
    "tags", "consent_source", "consent_at",
)  # fmt: skip
_CITIES = ("Berlin", "Łódź", "München", "Paris", "東京", "Москва")
_TAGS = ("vip", "beta", "newsletter", "customer", "fair 2026")


class Took(NamedTuple):
    """Seconds by the clock, and seconds of this process's processor time: a busy machine changes the first."""

    wall: float
    cpu: float


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of `make bench`: a first import and a second one of the same file, on both databases."""
    count = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as name:
        folder = Path(name)
        path = folder / "contacts.csv"
        write_contacts(path, count)
        rows = _rows("SQLite", count, sqlite_import(path, folder / "baseline.sqlite3"), ".import")
        first, second = asyncio.run(imports(path, folder, f"sqlite:///{folder / 'bench.sqlite3'}"))
        found = rows(first, second)
        found += _postgres(path, folder, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found.append(
        {"name": f"memory at most, {count:,} contacts", "value": peak, "unit": "MiB", "baseline": 200}
    )
    return found


def _rows(
    database: str, count: int, baseline: Took, what: str
) -> Callable[[Took, Took], list[dict[str, Any]]]:
    def rows(first: Took, second: Took) -> list[dict[str, Any]]:
        named = (
            (f"import {count:,} contacts, {database}", first),
            (f"the same {count:,} again, {database}", second),
        )
        return [
            {
                "name": f"{name} (processor {took.cpu:.1f} s)",
                "value": round(took.wall, 2),
                "unit": "s",
                "baseline": round(baseline.wall, 2),
                "ratio": round(took.wall / baseline.wall, 1),
                "baseline_name": what,
            }
            for name, took in named
        ]

    return rows


def _postgres(path: Path, folder: Path, count: int) -> list[dict[str, Any]]:
    """The same on PostgreSQL, where there is one."""
    with postgres() as server:
        if server is None:
            return []
        with server.copy() as copy:
            rows = _rows("PostgreSQL", count, asyncio.run(copy_import(path, copy.dsn)), "COPY")
            return rows(*asyncio.run(imports(path, folder, copy.dsn)))


def write_contacts(path: Path, count: int) -> None:
    """Addresses in no order; the same file each time."""
    chance = random.Random(2)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(count):
            address = f"{chance.randrange(10**6)}.p{number}@example{chance.randrange(300)}.org"
            day = f"202{chance.randrange(6)}-0{chance.randrange(1, 9)}-1{chance.randrange(9)}"
            tags = "|".join(chance.sample(_TAGS, 2))
            city, score = chance.choice(_CITIES), chance.randrange(999)
            known = ("Jürgen", "Müller", city, "DE", "pro", score, day, tags, "web form", f"{day}T10:00:00Z")
            writer.writerow((address, *known))


def sqlite_import(path: Path, target: Path) -> Took:
    """What the shell's `.import` does: one prepared INSERT, one transaction."""
    db = sqlite3.connect(target)
    db.execute("PRAGMA journal_mode=WAL")
    columns = ", ".join(f"{name} TEXT" for name in HEADER)
    db.execute(f"CREATE TABLE contacts (id INTEGER PRIMARY KEY, tenant_id INTEGER DEFAULT 1, {columns})")
    db.execute("CREATE UNIQUE INDEX address ON contacts (tenant_id, email)")
    measured = _Watch()
    with path.open(encoding="utf-8", newline="") as file, db:
        rows = csv.reader(file)
        next(rows)
        marks = ", ".join("?" * len(HEADER))
        db.executemany(f"INSERT INTO contacts ({', '.join(HEADER)}) VALUES ({marks})", rows)
    took = measured.took()
    db.close()
    return took


async def copy_import(path: Path, dsn: str) -> Took:
    import asyncpg

    connection = await asyncpg.connect(dsn.replace("postgresql+asyncpg", "postgresql"))
    columns = ", ".join(f"{name} text" for name in HEADER)
    await connection.execute(
        f"CREATE TEMP TABLE baseline (id bigserial PRIMARY KEY, tenant_id bigint DEFAULT 1, {columns})"
    )
    await connection.execute("CREATE UNIQUE INDEX baseline_address ON baseline (tenant_id, email)")
    measured = _Watch()
    with path.open("rb") as file:
        await connection.copy_to_table("baseline", source=file, columns=HEADER, format="csv", header=True)
    took = measured.took()
    await connection.close()
    return took


class _Watch:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def took(self) -> Took:
        return Took(time.perf_counter() - self._wall, time.process_time() - self._cpu)


async def imports(path: Path, folder: Path, url: str) -> tuple[Took, Took]:
    gc.set_threshold(200_000)  # as `mailengine import` does
    if url.startswith("sqlite"):
        await upgrade(url, DatabaseSettings())
    db, clock, instance = Database(url, DatabaseSettings()), SystemClock(), InstanceScope("bench")
    try:
        async with db.write(instance) as tx:
            tenant = await create_tenant(
                tx, instance, name="Bench", country="DE", postal_address="Street 1, Bonn", now=clock.now()
            )
        around = Surroundings(db=db, clock=clock, data_dir=folder, hash_key=b"b" * 32)

        async def once() -> Took:
            measured = _Watch()
            await import_file(around, scope_in(tenant, instance), ImportRequest(path, "Customers"))
            return measured.took()

        return await once(), await once()
    finally:
        await db.close()


if __name__ == "__main__":
    for row in run(quick=True):
        print(row)
