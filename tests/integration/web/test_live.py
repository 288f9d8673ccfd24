"""The stream of a campaign's progress over a real connection, and how it ends."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from mailengine.core.scope import InstanceScope
from mailengine.models import WebSession
from mailengine.web.pages.live import event

pytestmark = pytest.mark.anyio
INSTANCE = InstanceScope(actor="test")
TOKEN = re.compile(r'name="_csrf_token" value="([^"]+)"')


@pytest.fixture
async def visitor(served: Any, acme: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of the tenant's owner."""
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        token = TOKEN.search((await client.get("/login")).text)
        assert token
        data = {"email": "owner@acme.test", "password": "correct horse battery", "_csrf_token": token[1]}
        assert (await client.post("/login", data=data)).status_code == 303
        yield client


async def next_event(lines: AsyncIterator[str]) -> str:
    """The data of the next event; empty when the stream ended."""
    data: list[str] = []
    async for line in lines:
        if line.startswith("data: "):
            data.append(line[6:])
        elif not line and data:
            break
    return "\n".join(data)


async def test_progress_arrives_and_the_session_ends_the_stream(
    served: Any, visitor: httpx.AsyncClient, acme: Any, under_way: Any, accept: Any
):
    await under_way(served.rt, acme, 10)
    async with visitor.stream("GET", "/events/campaigns") as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        lines = stream.aiter_lines()
        first = await asyncio.wait_for(next_event(lines), 10)
        assert re.search(r"1</span> of 10\b", first)
        assert "acme &lt;script&gt;" in first
        await accept(served.rt, acme, 4)
        second = await asyncio.wait_for(next_event(lines), 10)
        assert re.search(r"5</span> of 10\b", second)
        async with served.rt.db.write(INSTANCE) as tx:
            await tx.execute(sa.delete(WebSession))
        assert await asyncio.wait_for(next_event(lines), 10) == ""


async def test_a_shutdown_does_not_wait_for_open_streams(served: Any, visitor: httpx.AsyncClient, acme: Any):
    async with visitor.stream("GET", "/events/campaigns") as stream:
        lines = stream.aiter_lines()
        assert await asyncio.wait_for(next_event(lines), 10)
        begun = time.monotonic()
        served.stopping.set()
        assert await asyncio.wait_for(next_event(lines), 10) == ""
        assert time.monotonic() - begun < 2


async def test_events_keep_every_line_of_the_data():
    assert event("a\nb\r\nc\u2028d") == "data: a\ndata: b\ndata: c\u2028d\n\n".encode()
