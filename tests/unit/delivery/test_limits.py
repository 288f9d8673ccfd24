"""Rates, buckets, warm-up schedules, quiet hours and forecasts, without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput
from mailengine.domain.delivery.limits.forecast import forecast
from mailengine.domain.delivery.limits.limits import Settings
from mailengine.domain.delivery.limits.quiet_hours import parse_time, quiet_until, zone_of
from mailengine.domain.delivery.limits.rates import SECONDS, Level, Rate, full, parse_rate
from mailengine.domain.delivery.limits.warm_up import ADDRESS_DAYS, changes_at, rate_on
from mailengine.models import Limit, LimitScope, Period, QuietHours, WarmUp, WarmUpScope

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROUNDING = timedelta(milliseconds=10)  # times are told in whole milliseconds


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("50/hour", Rate(50, Period.HOUR)),
        ("2,000 per day", Rate(2000, Period.DAY)),
        (" 1 a second ", Rate(1, Period.SECOND)),
        ("300/minutes", Rate(300, Period.MINUTE)),
    ],
)
def test_a_rate_is_read_as_people_write_it(written: str, rate: Rate) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize("written", ["", "50", "fast", "0/hour", "-5/hour", "5/fortnight", "9999999999/day"])
def test_what_is_no_rate_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(InvalidInput, match=r"500/hour|rate must allow"):
        parse_rate(written)


@given(
    amount=st.integers(1, 5000),
    period=st.sampled_from(list(Period)),
    steps=st.lists(st.floats(0.001, 0.7), min_size=1, max_size=60),
)
def test_no_window_of_a_period_sees_more_than_the_amount(
    amount: int, period: Period, steps: list[float]
) -> None:
    """Taking all there is at random moments, the most that any window as long as the period can hold."""
    rate = Rate(amount, period)
    level, taken = full(rate, NOON), []
    for step in [0.0, *steps]:
        level = level.at(level.filled_at + timedelta(seconds=step * SECONDS[period]), rate)
        taken.append((level.filled_at, level.available()))
        level = Level(level.tokens - level.available(), level.filled_at)
    span = timedelta(seconds=SECONDS[period])
    for start, _ in taken:
        window = sum(count for moment, count in taken if start <= moment < start + span)
        assert window <= max(amount, 1)


@given(amount=st.integers(1, 100_000), period=st.sampled_from(list(Period)))
def test_a_token_is_there_when_it_was_promised(amount: int, period: Period) -> None:
    rate = Rate(amount, period)
    empty = Level(0.0, NOON)
    ready = empty.ready_at(rate)
    assert empty.at(ready, rate).available() >= 1
    assert empty.at(NOON + (ready - NOON) * 0.9, rate).available() == 0 or ready - NOON < ROUNDING


def test_a_clock_that_runs_backwards_gives_nothing() -> None:
    rate = Rate(3600, Period.HOUR)
    assert Level(0.0, NOON).at(NOON - timedelta(hours=1), rate) == Level(0.0, NOON)


def test_a_new_tenant_warms_up_in_two_steps() -> None:
    rates = [rate_on(WarmUpScope.TENANT, NOON, NOON + timedelta(days=day)) for day in range(9)]
    assert [str(rate) if rate else None for rate in rates] == [
        *["50/hour"] * 3,
        *["200/hour"] * 4,
        None,
        None,
    ]
    assert changes_at(WarmUpScope.TENANT, NOON, NOON) == NOON + timedelta(days=3)


def test_an_address_warms_up_over_thirty_days() -> None:
    rates = [rate_on(WarmUpScope.RELAY, NOON, NOON + timedelta(days=day)) for day in range(31)]
    assert [rate.amount for rate in rates if rate] == list(ADDRESS_DAYS)
    assert rates[30] is None
    assert list(ADDRESS_DAYS) == sorted(ADDRESS_DAYS)


def _limit(rate: Rate, scope: LimitScope = LimitScope.TENANT, target: str = "") -> Limit:
    return Limit(
        tenant_id=1, scope=scope, target=target, amount=rate.amount, period=rate.period, created_at=NOON
    )


def _warm_up() -> WarmUp:
    return WarmUp(tenant_id=1, scope=WarmUpScope.TENANT, target="", started_at=NOON)


def _say(
    settings: Settings, messages: int, relay_ids: tuple[int, ...] = (1,), quiet: QuietHours | None = None
) -> str | None:
    found = forecast(
        settings, quiet, relay_ids=relay_ids, sending_domain="example.org", messages=messages, now=NOON
    )
    return str(found) if found else None


def test_the_forecast_is_said_in_one_line() -> None:
    assert _say(Settings([_limit(Rate(50, Period.HOUR))], []), 4700) == (
        "Throttled: sending at 50/hour, 94 hours remaining"
    )
    assert _say(Settings([], []), 4700) is None
    assert _say(Settings([_limit(Rate(50, Period.HOUR))], []), 0) is None


def test_the_forecast_follows_the_steps_of_a_warm_up() -> None:
    # 72 hours at 50, 96 hours at 200, and the rest at once: 3,600 + 19,200 messages.
    assert _say(Settings([], [_warm_up()]), 3600) == "Throttled: sending at 50/hour, 72 hours remaining"
    assert _say(Settings([], [_warm_up()]), 4000) == "Throttled: sending at 50/hour, 74 hours remaining"
    assert _say(Settings([], [_warm_up()]), 1_000_000) == "Throttled: sending at 50/hour, 168 hours remaining"


def test_a_relay_without_limit_takes_what_another_cannot() -> None:
    slow = _limit(Rate(10, Period.HOUR), LimitScope.RELAY, "1")
    assert (
        _say(Settings([slow], []), 20, relay_ids=(1,)) == "Throttled: sending at 10/hour, 2 hours remaining"
    )
    assert _say(Settings([slow], []), 20, relay_ids=(1, 2)) is None


def test_limited_relays_share_the_work() -> None:
    each = [_limit(Rate(1, Period.HOUR), LimitScope.RELAY, str(relay)) for relay in (1, 2)]
    said = "Throttled: sending at 2/hour, 100 hours remaining"
    assert _say(Settings(each, []), 200, relay_ids=(1, 2)) == said
    unlike = [each[0], _limit(Rate(12, Period.DAY), LimitScope.RELAY, "2")]
    said = "Throttled: sending at 36/day, 48 hours remaining"
    assert _say(Settings(unlike, []), 72, relay_ids=(1, 2)) == said
    below = [*each, _limit(Rate(1, Period.HOUR))]
    said = "Throttled: sending at 1/hour, 200 hours remaining"
    assert _say(Settings(below, []), 200, relay_ids=(1, 2)) == said


@pytest.mark.parametrize(
    ("starts", "ends", "messages", "hours"),
    [
        ("22:00", "07:00", 500, 10),  # from noon until the rest begins
        ("22:00", "07:00", 501, 20),
        ("22:00", "07:00", 500 + 15 * 50, 10 + 24),
        ("22:00", "07:00", 500 + 150 * 50, 10 + 24 * 10),
        ("11:00", "13:00", 50, 2),  # it rests now
        ("00:02", "00:01", 200, 12 + 24 * 239 + 1),  # 5/6 of a message a day, from midnight on
    ],
)
def test_the_forecast_counts_the_quiet_hours(starts: str, ends: str, messages: int, hours: int) -> None:
    quiet = _quiet(starts, ends, "UTC")
    said = f"Throttled: sending at 50/hour, {hours:,} hours remaining"
    assert _say(Settings([_limit(Rate(50, Period.HOUR))], []), messages, quiet=quiet) == said


def test_the_forecast_counts_quiet_hours_in_a_warm_up() -> None:
    # Three days of fifteen hours at 50, four at 200; the last step ends at noon, in the middle of a day.
    quiet = _quiet("22:00", "07:00", "UTC")
    assert _say(Settings([], [_warm_up()]), 45 * 50, quiet=quiet) == (
        "Throttled: sending at 50/hour, 72 hours remaining"
    )
    assert _say(Settings([], [_warm_up()]), 45 * 50 + 60 * 200, quiet=quiet) == (
        "Throttled: sending at 50/hour, 168 hours remaining"
    )


@pytest.mark.parametrize(
    ("starts", "ends", "now", "until"),
    [
        ("22:00", "07:00", "2026-11-22T22:30+01:00", "2026-11-23T07:00+01:00"),
        ("22:00", "07:00", "2026-11-23T06:59+01:00", "2026-11-23T07:00+01:00"),
        ("22:00", "07:00", "2026-11-23T07:00+01:00", None),
        ("22:00", "07:00", "2026-11-22T21:59+01:00", None),
        ("12:00", "14:00", "2026-11-22T13:00+01:00", "2026-11-22T14:00+01:00"),
        ("12:00", "14:00", "2026-11-22T14:30+01:00", None),
        ("22:00", "07:00", "2026-03-29T00:30+01:00", "2026-03-29T07:00+02:00"),  # summer time begins
    ],
)
def test_quiet_hours_are_told_in_the_tenants_zone(
    starts: str, ends: str, now: str, until: str | None
) -> None:
    row = _quiet(starts, ends, "Europe/Berlin")
    end = quiet_until(row, datetime.fromisoformat(now))
    assert end == (datetime.fromisoformat(until) if until else None)


def _quiet(starts: str, ends: str, timezone: str) -> QuietHours:
    first, last = (moment.hour * 60 + moment.minute for moment in (parse_time(starts), parse_time(ends)))
    return QuietHours(tenant_id=1, starts=first, ends=last, timezone=timezone)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Europe/Berlin"):
        zone_of(name)
