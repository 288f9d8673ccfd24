"""The token bucket: burst, refill, bounded memory."""

from datetime import UTC, datetime, timedelta

from mailengine.core.ratelimit import RateLimit

START = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_burst_passes_and_then_one_per_interval() -> None:
    limit = RateLimit(burst=3, seconds_per_act=60)
    assert [limit.take("a", START) for _ in range(3)] == [0, 0, 0]
    assert limit.take("a", START) == 60
    assert limit.take("a", after(30)) == 30
    assert limit.take("a", after(60)) == 0
    assert limit.take("a", after(60)) == 60


def test_keys_do_not_share_and_a_clock_that_runs_back_gives_nothing() -> None:
    limit = RateLimit(burst=1, seconds_per_act=10)
    assert limit.take("a", START) == 0
    assert limit.take("b", START) == 0
    assert limit.take("a", after(-100)) > 0


def test_it_never_fills_above_the_burst() -> None:
    limit = RateLimit(burst=2, seconds_per_act=1)
    limit.take("a", START)
    assert [limit.take("a", after(1000)) for _ in range(3)] == [0, 0, 1]


def test_what_is_forgotten_starts_anew() -> None:
    limit = RateLimit(burst=1, seconds_per_act=60)
    limit.take("a", START)
    limit.forget("a")
    assert limit.take("a", START) == 0


def test_the_table_is_bounded_and_drops_who_was_idle_longest() -> None:
    limit = RateLimit(burst=1, seconds_per_act=60, max_keys=3)
    for key in ("a", "b", "a", "c", "d"):
        limit.take(key, START)
    assert len(limit) == 3
    assert limit.take("a", START) > 0  # used again, so still known
    assert limit.take("b", START) == 0  # forgotten
