"""Values as a terminal shows them. What others wrote (names, subjects, servers' words) goes through `plain`: it is
never taken for markup, and no control character of it reaches the terminal.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text
from textual.theme import Theme

from mailengine.core.terminal import one_line

_BAR_CELLS = 10
_STATES = {
    "sending": "success",
    "running": "success",
    "subscribed": "success",
    "sent": "primary",
    "scheduled": "primary",
    "done": "primary",
    "paused": "warning",
    "queued": "warning",
    "unconfirmed": "warning",
    "inactive": "warning",
    "cancelled": "warning",
    "failed": "error",
    "bounced": "error",
    "complained": "error",
    "suppressed": "error",
    "warning": "warning",
    "error": "error",
    "critical": "error",
    "red": "error",
    "yellow": "warning",
    "green": "success",
}


class Ink:
    """The colours of the theme, for parts that are drawn without a style sheet."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def style(self, name: str) -> str:
        """`success`, `warning`, `error`, `primary`; anything else is the ordinary ink."""
        return str(getattr(self._theme, name, None) or "")

    def state(self, state: str) -> Text:
        """A state or a light in its colour."""
        return Text(one_line(state), style=self.style(_STATES.get(state, "")))

    def bad(self, count: int) -> Text:
        """A number that should be none."""
        return Text(f"{count:,}", style=self.style("error") if count else "", justify="right")


def plain(value: object) -> Text:
    """Anything as one line."""
    return Text(one_line(str(value)), no_wrap=True)


def number(value: int | None) -> Text:
    return Text("–" if value is None else f"{value:,}", justify="right")


def bar(done: int, total: int | None) -> Text:
    """`━━━━────── 40 %`; a total that is not known yet has no bar."""
    if not total:
        return Text("–" if total is None else "0 %")
    share = min(1.0, done / total)
    full = round(share * _BAR_CELLS)
    # Rounded down: what is not at its end must not say so.
    return Text(f"{'━' * full}{'─' * (_BAR_CELLS - full)} {int(share * 100):>3} %")


def rate(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}/s" if value >= 10 or value == 0 else f"{value:.1f}/s"


def left(seconds: float | None) -> str:
    """A time that remains: `0:01:23`."""
    return "–" if seconds is None else str(timedelta(seconds=round(seconds)))


def moment(at: datetime | None) -> str:
    """In the terminal's time zone."""
    return "–" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.2f} %" if share < 0.01 else f"{share * 100:.1f} %"


def listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "–"
