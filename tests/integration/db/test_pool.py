"""A connection to PostgreSQL that the server ended is nobody's trouble; whether it stands is asked after a rest."""

import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

from mailengine.db import engine
from mailengine.db.unit import Database
from support.connections import end, server_of
from support.house import INSTANCE, open_database

pytestmark = pytest.mark.anyio


async def _use(db: Database, times: int) -> None:
    for _ in range(times):
        async with db.read(INSTANCE):
            pass


@pytest.mark.parametrize("rest_seconds", [0.0, 1.0])
async def test_a_connection_that_the_server_ended_is_replaced(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, rest_seconds: float
) -> None:
    monkeypatch.setattr(engine, "_REST_SECONDS", rest_seconds)
    async with open_database(postgres_dsn) as db:
        async with db.read(INSTANCE) as tx:
            server = await server_of(tx)
        await end(postgres_dsn, server)
        await _use(db, 3)


@pytest.mark.parametrize(("rest_seconds", "asked"), [(0.0, 3), (60.0, 0)])
async def test_it_is_asked_for_after_a_rest_alone(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, rest_seconds: float, asked: int
) -> None:
    pings: list[object] = []
    ping = AsyncAdapt_asyncpg_connection.ping
    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", lambda each: (pings.append(each), ping(each)))
    monkeypatch.setattr(engine, "_REST_SECONDS", rest_seconds)
    async with open_database(postgres_dsn) as db:
        await _use(db, 4)
    assert len(pings) == asked
