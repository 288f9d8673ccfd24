"""A role that failed starts again, whatever its failure left behind in its task."""

import asyncio

import pytest

from mailengine.core.errors import Unavailable
from mailengine.daemon.restart import keep_running

pytestmark = pytest.mark.anyio


async def test_after_the_failure_of_one_of_its_parts() -> None:
    """Before Python 3.11.3 a task whose group failed is cancelled by its next time limit."""
    stop, starts = asyncio.Event(), 0

    async def fails() -> None:
        raise Unavailable("PostgreSQL does not answer")

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts > 1:
            stop.set()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(stop.wait())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    await asyncio.wait_for(keep_running("scheduler", run, stop), 10)
    assert starts == 2
