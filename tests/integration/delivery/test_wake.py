"""Waking workers: a ring is quick and is heard once; whatever happens to it, the database is the record."""

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailengine.core.config import load_settings
from mailengine.core.errors import InvalidInput
from mailengine.domain.delivery.transactional import OutgoingMessage, queue_message
from mailengine.domain.delivery.wake import bell_of, listener_of
from mailengine.domain.delivery.wake.bell import Listener
from mailengine.domain.delivery.wake.fifo import FifoBell, FifoListener
from mailengine.domain.delivery.wake.redis import RedisBell, RedisListener
from peers.catcher import Catcher
from peers.redis_server import RedisServer
from support.world import World, a_world, running

pytestmark = pytest.mark.anyio

PIPE_BYTES = 4096


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One of the test's own: it is killed and stalled."""
    server = RedisServer(tmp_path / "redis.log")
    yield server
    server.stop()


@asynccontextmanager
async def _listening(listener: Listener) -> AsyncIterator[list[None]]:
    """What `listener` heard, while it listens."""
    heard: list[None] = []
    task = asyncio.create_task(listener.run(lambda: heard.append(None)))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(done: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)


async def test_every_worker_of_a_data_directory_hears_the_bell(tmp_path: Path) -> None:
    bell = FifoBell(tmp_path)
    await bell.ring({"1"})  # nobody listens
    async with _listening(FifoListener(tmp_path)) as one, _listening(FifoListener(tmp_path)) as two:
        await _until(lambda: len(list(tmp_path.glob("wake/*.bell"))) == 2)
        await bell.ring({"1"})
        await _until(lambda: one and two)
        for pipe in tmp_path.glob("wake/*.bell"):
            _shrink(pipe)
        for _ in range(2 * PIPE_BYTES):  # more than a pipe holds, and nobody reads meanwhile
            await bell.ring({"1"})
    assert list((tmp_path / "wake").iterdir()) == []


def _shrink(pipe: Path) -> None:
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.close(descriptor)


async def test_the_pipe_of_a_killed_worker_is_removed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from mailengine.domain.delivery.wake.fifo import FifoListener\n"
        "asyncio.run(FifoListener(Path(sys.argv[1])).run(lambda: None))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as worker:
        await _until(lambda: list(tmp_path.glob("wake/*.bell")), seconds=60)
        worker.kill()
    await FifoBell(tmp_path).ring({"1"})
    assert list(tmp_path.glob("wake/*")) == []


async def test_a_directory_without_pipes_ends_no_worker(tmp_path: Path) -> None:
    (tmp_path / "wake").write_text("where the directory should be")
    async with _listening(FifoListener(tmp_path)) as heard:
        await FifoBell(tmp_path).ring({"1"})
        await asyncio.sleep(0)
    assert heard == []


@pytest.mark.peer("redis")
async def test_redis_hands_each_ring_to_one_worker(redis: RedisServer) -> None:
    bell = RedisBell(redis.url, "test")
    first, second = RedisListener(redis.url, "test"), RedisListener(redis.url, "test")
    async with (
        _listening(first) as one,
        _listening(second) as two,
        _listening(RedisListener(redis.url, "other installation")) as stranger,
    ):
        for number in range(20):
            await bell.ring({str(number)})
        await _until(lambda: first.reliable and second.reliable)
        await _until(lambda: len(one) + len(two) >= 20)
        await asyncio.wait_for(bell.ring({"1", "2"}), 5)
        await _until(lambda: len(one) + len(two) >= 22)
        assert len(one) + len(two) <= 24  # and once each, when Redis was found
        assert len(stranger) <= 1
    await bell.close()


@pytest.mark.peer("redis")
async def test_a_message_leaves_whatever_happens_to_redis(
    database_url: str, tmp_path: Path, catcher: Catcher, redis: RedisServer
) -> None:
    backend = {"backend": "redis"}
    async with a_world(database_url, tmp_path / "data", queue=backend, redis={"url": redis.url}) as world:
        await world.relay(catcher.port)
        async with running(world.worker()):
            await _send(world, catcher)
            redis.flush()
            await _send(world, catcher)
            redis.stall()
            await _send(world, catcher)
            redis.go_on()
            await _send(world, catcher)
            redis.kill()
            await _send(world, catcher)
            redis.restart()
            await _send(world, catcher)


async def _send(world: World, catcher: Catcher) -> None:
    """Queue one and see it arrive; queueing itself must not hang on Redis."""
    had = len(catcher.caught)
    message = OutgoingMessage("ann@example.org", "Code", "123456", sender="noreply@example.org")
    async with asyncio.timeout(5), world.db.write(world.scope) as tx:
        await queue_message(tx, world.scope, message, now=world.clock.now())
    await _until(lambda: len(catcher.caught) > had)
    assert len(catcher.caught) == had + 1


def test_redis_without_an_address_is_one_clear_line(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, queue={"backend": "redis"})
    for make in (bell_of, listener_of):
        with pytest.raises(InvalidInput, match="MAILENGINE_REDIS_URL"):
            make(settings)
    wrong = load_settings(data_dir=tmp_path, queue={"backend": "redis"}, redis={"url": "nonsense"})
    with pytest.raises(InvalidInput, match="redis://HOST"):
        bell_of(wrong)
