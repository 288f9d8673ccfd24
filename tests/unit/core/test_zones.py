"""Times as people write them, in their zones: also on the days on which the clocks change."""

from datetime import UTC, datetime

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.core.zones import moment_in


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-12-31 09:00", "Europe/Berlin", datetime(2026, 12, 31, 8, tzinfo=UTC)),
        ("2026-07-01T09:00", "Europe/Berlin", datetime(2026, 7, 1, 7, tzinfo=UTC)),
        ("2026-03-29 01:59", "Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        ("2026-03-29 03:00", "Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (
            "2026-10-25 02:30",
            "Europe/Berlin",
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        ),  # comes twice: the first
        ("2026-07-01 09:00", "Asia/Kathmandu", datetime(2026, 7, 1, 3, 15, tzinfo=UTC)),
        (" 2026-07-01 09:00-05:00 ", "Europe/Berlin", datetime(2026, 7, 1, 14, tzinfo=UTC)),
        ("2026-07-01T09:00:00Z", "UTC", datetime(2026, 7, 1, 9, tzinfo=UTC)),
    ],
)
def test_a_time_is_what_the_clocks_there_show(text: str, zone: str, moment: datetime) -> None:
    assert moment_in(text, zone) == moment


def test_a_time_that_the_clocks_leave_out_is_refused_with_the_next_one() -> None:
    with pytest.raises(InvalidInput, match=r"there is no 02:30 in Europe/Berlin on 2026-03-29.*choose 03:30"):
        moment_in("2026-03-29 02:30", "Europe/Berlin")


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2026-12-31", "31.12.2026 09:00", "2026-13-01 09:00", "0001-01-01 00:00", "9" * 90],
)
def test_what_is_no_time_says_how_one_is_written(text: str) -> None:
    with pytest.raises(InvalidInput, match="write it like 2026-12-31 09:00"):
        moment_in(text, "Asia/Tokyo")


@pytest.mark.parametrize("zone", ["", "Berlin", "../../etc/passwd", "Europe/Berlin\x00", "x" * 500])
def test_what_is_no_zone_says_how_one_is_written(zone: str) -> None:
    with pytest.raises(InvalidInput, match="write for example Europe/Berlin"):
        moment_in("2026-12-31 09:00", zone)
