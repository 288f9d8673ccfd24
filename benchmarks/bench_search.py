"""What a page of the contacts that somebody searches for takes of the processor with a million of them (issue 4:
under 100 ms), beside a page of everybody: while nothing of them is in the index, as after an import, and then.

The time is that of this process and of the database's server, the mean of several: it does not depend on who else
uses the machine.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from benchmarks.bench_segments import INSTANCE, fill, sqlite_url, tenant_in, vacuum
from benchmarks.report import Row
from benchmarks.stage import postgres, usage
from mailengine.core.config import DatabaseSettings
from mailengine.core.paging import PageRequest, encode_cursor
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.contacts.browsing import Filter, Order, browse
from mailengine.domain.contacts.search import index
from mailengine.models import Contact

ASKED = 10
Work = Callable[[], Awaitable[Any]]
_MICRO = 1_000_000
# The middle of an address that one has; what all, many, few and none have; a name with a number; a beginning.
_TEXTS = ("777@example", "example", "example7.org", "ürgen", "Müller 99999", "nobodyatall", "p1", "zq", "vip")
_SLOW = (
    "777@example",
    "example7.org",
    "nobodyatall",
)  # asked while the index lags, when each may take a second


def run(quick: bool) -> list[Row]:
    contacts = 100_000 if quick else 1_000_000
    rows: list[Row] = []
    with sqlite_url() as url:
        rows += asyncio.run(_measure(url, contacts, "SQLite", None))
    with postgres() as server:
        if server is not None:
            with server.copy() as copy:
                ((pid,),) = copy.rows("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
                rows += asyncio.run(_measure(copy.dsn, contacts, "PostgreSQL", pid))
    return rows


async def _measure(url: str, contacts: int, system: str, server: int | None) -> list[Row]:
    db = Database(url, DatabaseSettings())
    try:
        scope = await tenant_in(db)
        await fill(db, scope, contacts, history=False)
        meter = _Meter(db, scope, f"{contacts:,} contacts, {system}", server)
        await meter.compare()
        rows = [await meter.row(f"  {text}, not indexed yet", Filter(text=text), asked=2) for text in _SLOW]
        rows.append(await meter.indexing(contacts))
        rows += await _searches(meter, contacts)
        return [*rows, *await _pages(meter, contacts)]
    finally:
        await db.close()


async def _searches(meter: "_Meter", contacts: int) -> list[Row]:
    rows = [await meter.row(f"  {text}", Filter(text=text)) for text in _TEXTS]
    rows += [await meter.row(f"  {text}, by address", Filter(text=text), Order.ADDRESS) for text in _TEXTS]
    rows.append(await meter.row("  city begins with Ham", Filter(text="Ham", attribute="city")))
    slowest = max(rows, key=lambda row: float(row["value"]))
    page_10_000 = encode_cursor([contacts // 2])
    later = await meter.row("  example, page 10,000", Filter(text="example"), cursor=page_10_000)
    return [{**slowest, "name": f"slowest search ({meter.what}):{slowest['name'][1:]}"}, *rows, later]


async def _pages(meter: "_Meter", contacts: int) -> list[Row]:
    """Of everybody, in both orders and counted, as the api and the commands give them."""
    everybody = Filter()
    async with meter.db.read(meter.scope) as tx:
        keys = sa.select(table_of(Contact).c.email_key).where(table_of(Contact).c.id == contacts // 2)
        key = await tx.scalar(keys)
    return [
        await meter.row("  everybody, counted", everybody, count=True),
        await meter.row("  everybody, by address", everybody, Order.ADDRESS),
        await meter.row(
            "  everybody, by address, from the middle", everybody, Order.ADDRESS, encode_cursor([key])
        ),
    ]


class _Meter:
    def __init__(self, db: Database, scope: Scope, what: str, server: int | None) -> None:
        self.db, self.scope, self.what = db, scope, what
        self._server = server  # the process of PostgreSQL, which counts those that have ended too
        self._baseline = 0.0

    async def compare(self) -> None:
        """With what: the first page of everybody, not counted."""
        self._baseline = await self._milliseconds(Filter(), Order.NEWEST, None, ASKED, count=False)

    async def row(
        self,
        name: str,
        chosen: Filter,
        order: Order = Order.NEWEST,
        cursor: str | None = None,
        *,
        asked: int = ASKED,
        count: bool = False,
    ) -> Row:
        value = await self._milliseconds(chosen, order, cursor, asked, count=count or bool(chosen.text))
        return {
            "name": name,
            "value": round(value, 1),
            "unit": "ms",
            "baseline": round(self._baseline, 1),
            "ratio": round(value / self._baseline, 1),
            "baseline_name": "page of everybody",
        }

    async def indexing(self, contacts: int) -> Row:
        async def all_of_them() -> None:
            while await index.index_some(self.db, INSTANCE):
                pass

        seconds = await self._cpu_seconds(all_of_them)
        await vacuum(self.db)
        return {
            "name": f"indexing {self.what}",
            "value": round(seconds / contacts * _MICRO),
            "unit": "µs a contact",
        }

    async def _milliseconds(
        self, chosen: Filter, order: Order, cursor: str | None, asked: int, *, count: bool
    ) -> float:
        async def ask(times: int) -> None:
            for _ in range(times):
                async with self.db.read(self.scope) as tx:
                    await browse(tx, self.scope, chosen, page=PageRequest(50, cursor, count), order=order)

        await ask(2)  # compile the statements and read what is not in memory yet
        return 1000 * await self._cpu_seconds(lambda: ask(asked)) / asked

    async def _cpu_seconds(self, work: Work) -> float:
        theirs = self._theirs()
        mine = time.process_time()
        await work()
        mine = time.process_time() - mine
        return mine + self._theirs() - theirs

    def _theirs(self) -> float:
        return 0.0 if self._server is None else usage(self._server).cpu_seconds
