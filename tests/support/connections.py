"""PostgreSQL's side of a connection."""

import asyncio
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailengine.db.unit import ReadTx
from support.house import INSTANCE, open_database


@dataclass(frozen=True, slots=True)
class Server:
    """The server's process below a transaction, and the driver's connection to it."""

    pid: int
    driver: Any


async def server_of(tx: ReadTx) -> Server:
    pid = await tx.scalar(sa.text("SELECT pg_backend_pid()"))
    return Server(pid, (await (await tx.connection()).get_raw_connection()).driver_connection)


async def end(url: str, server: Server) -> None:
    """From a connection of its own; returns when the driver has heard of it."""
    async with open_database(url) as db, db.write(INSTANCE) as tx:
        await tx.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": server.pid})
    async with asyncio.timeout(10):
        while not server.driver.is_closed():
            await asyncio.sleep(0.001)
