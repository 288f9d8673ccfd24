"""Times of day in the zones that people live in: read as they write them, exact across changes of the clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mailengine.core.errors import InvalidInput


def zone_of(name: str) -> ZoneInfo:
    """Raises InvalidInput for a name that the time zone database does not have."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"{name!r} is no time zone; write for example Europe/Berlin") from error


def in_utc(moment: datetime) -> datetime:
    """Without a zone it is in UTC; raises InvalidInput for hours of the years 1 and 9999 that UTC has not."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(f"{moment.isoformat()} is beyond the years that a moment can have") from error


def moment_in(text: str, zone: str) -> datetime:
    """`2026-12-31 09:00` in that zone, or with an offset of its own (RFC 3339), as UTC.

    Raises InvalidInput for what is no time, and for one that the clocks leave out when they go forward; of one that
    comes twice when they go back it is the first.
    """
    tz = zone_of(zone)
    try:
        given = datetime.fromisoformat(text.strip())
        if ":" not in text:
            raise ValueError("a day without a time")
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        at = given.replace(tzinfo=tz).astimezone(UTC)
        shown = at.astimezone(tz).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text.strip()[:40]!r} is no time; write it like 2026-12-31 09:00") from error
    if shown != given:
        raise InvalidInput(
            f"there is no {given:%H:%M} in {zone} on {given:%Y-%m-%d}: the clocks go forward then; "
            f"choose {shown:%H:%M} or another time"
        )
    return at
