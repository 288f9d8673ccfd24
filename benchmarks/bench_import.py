"""How long `mailengine import` takes, beside `sqlite3 .import` of the same file into a table with the same
indexes: the least that storing these rows can cost.
"""

import asyncio
import csv
import gc
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.contacts.imports.run import ImportRequest, Surroundings, import_file
from mailengine.migrations.run import upgrade

HEADER = ("email", "first_name", "last_name", "city", "country", "plan", "score", "signed_up")


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of `make bench`: seconds for the first import and for a second one of the same file."""
    count = 20_000 if quick else 100_000
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        path = Path(folder) / "contacts.csv"
        write_contacts(path, count)
        baseline = sqlite_import(path, Path(folder) / "baseline.sqlite3")
        first, second = asyncio.run(imports(path, Path(folder)))
    return [
        _row(f"import {count:,} contacts, SQLite", first, baseline),
        _row(f"import the same {count:,} again, SQLite", second, baseline),
    ]


def _row(name: str, seconds: float, baseline: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(seconds, 2),
        "unit": "s",
        "baseline": round(baseline, 2),
        "ratio": round(seconds / baseline, 1),
    }


def write_contacts(path: Path, count: int) -> None:
    """Addresses in no order, two names and five attributes; the same file each time."""
    chance = random.Random(2)
    cities = ("Berlin", "Łódź", "München", "Paris", "東京", "Москва")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(count):
            address = f"{chance.randrange(10**6)}.p{number}@example{chance.randrange(300)}.org"
            day = f"202{chance.randrange(6)}-0{chance.randrange(1, 9)}-1{chance.randrange(9)}"
            city = chance.choice(cities)
            writer.writerow((address, "Jürgen", "Müller", city, "DE", "pro", chance.randrange(999), day))


def sqlite_import(path: Path, target: Path) -> float:
    """Seconds for what the shell's `.import` does: one prepared INSERT, one transaction."""
    db = sqlite3.connect(target)
    db.execute("PRAGMA journal_mode=WAL")
    columns = ", ".join(f"{name} TEXT" for name in HEADER)
    db.execute(f"CREATE TABLE contacts (id INTEGER PRIMARY KEY, tenant_id INTEGER DEFAULT 1, {columns})")
    db.execute("CREATE UNIQUE INDEX address ON contacts (tenant_id, email)")
    started = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as file, db:
        rows = csv.reader(file)
        next(rows)
        marks = ", ".join("?" * len(HEADER))
        db.executemany(f"INSERT INTO contacts ({', '.join(HEADER)}) VALUES ({marks})", rows)
    seconds = time.perf_counter() - started
    db.close()
    return seconds


async def imports(path: Path, folder: Path) -> tuple[float, float]:
    gc.set_threshold(200_000)  # as `mailengine import` does
    url = f"sqlite:///{folder / 'bench.sqlite3'}"
    await upgrade(url, DatabaseSettings())
    db, clock, instance = Database(url, DatabaseSettings()), SystemClock(), InstanceScope("bench")
    try:
        async with db.write(instance) as tx:
            tenant = await create_tenant(
                tx, instance, name="Bench", country="DE", postal_address="Street 1, Bonn", now=clock.now()
            )
        around = Surroundings(db=db, clock=clock, data_dir=folder, hash_key=b"b" * 32)
        times = []
        for _ in range(2):
            started = time.perf_counter()
            await import_file(around, scope_in(tenant, instance), ImportRequest(path, "Customers"))
            times.append(time.perf_counter() - started)
        return times[0], times[1]
    finally:
        await db.close()


if __name__ == "__main__":
    for row in run(quick=False):
        print(row)
