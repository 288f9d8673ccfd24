"""What is remembered of the network's answers."""

from datetime import UTC, datetime, timedelta

import pytest

from mailengine.core.clock import ManualClock
from mailengine.domain.delivery.answers import Answer, Answers

pytestmark = pytest.mark.anyio


async def test_the_least_used_go_first() -> None:
    asked: list[str] = []

    async def ask(name: str) -> Answer[str]:
        asked.append(name)
        return Answer(name.upper(), 60)

    answers = Answers(ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), ask, limit=3)
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        assert await answers.get(name) == name.upper()
    assert asked == ["a", "b", "c", "d", "b"]
    assert len(answers) == 3


async def test_no_longer_than_allowed() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    count = 0

    async def ask(_name: str) -> Answer[int]:
        nonlocal count
        count += 1
        return Answer(count, 10)

    answers = Answers(clock, ask, limit=3)
    assert [await answers.get("a"), await answers.get("a")] == [1, 1]
    clock.advance(timedelta(seconds=10))
    assert await answers.get("a") == 2
