"""Messages or rows a second, from what was seen in the last seconds; who watches keeps one between two looks."""

from collections import deque
from dataclasses import replace
from datetime import datetime

from mailengine.core.ids import CampaignId
from mailengine.domain.reports.campaigns import Progress
from mailengine.models import CampaignState, Job, JobState

WINDOW_SECONDS = 10.0


class Speed:
    """Of one number that grows; `window_seconds` is how far it looks back."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._seen: deque[tuple[datetime, int]] = deque()

    def note(self, handled: int, now: datetime) -> float | None:
        """The present speed; None until two looks lie a second apart."""
        self._seen.append((now, handled))
        while (now - self._seen[0][0]).total_seconds() > self._window_seconds:
            self._seen.popleft()
        first, before = self._seen[0]
        seconds = (now - first).total_seconds()
        if seconds < 1:
            return None
        return max(0.0, (handled - before) / seconds)  # what goes back into the queue is not sent backwards


def job_speed(speed: Speed, job: Job, now: datetime) -> tuple[float | None, float | None]:
    """Of a job that runs: rows a second and the seconds that are left, each None while it is not known."""
    rate = speed.note(job.done, now) if job.state == JobState.RUNNING else None
    return rate, max(job.total - job.done, 0) / rate if rate and job.total else None


class Speeds:
    """Of each campaign."""

    def __init__(self) -> None:
        self._speeds: dict[CampaignId, Speed] = {}

    def of(self, row: Progress, now: datetime) -> Progress:
        """The row with the present speed; before two looks it keeps the average since the launch."""
        if row.state != CampaignState.SENDING:
            self._speeds.pop(row.id, None)
            return row
        speed = self._speeds.setdefault(row.id, Speed())
        rate = speed.note(row.sent + row.failed + row.doubt, now)
        if rate is None:
            return row
        left = row.queued / rate if rate and row.total is not None else None
        return replace(row, rate=rate, seconds_left=left)
