"""Following a campaign: a bar on stderr for a person, a JSON object a second for a program."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mailengine.cli import output
from mailengine.cli.running import daemon_runs

# The domain and rich load inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from mailengine.core.ids import CampaignId
    from mailengine.core.scope import Scope
    from mailengine.domain.delivery.limits.forecast import Forecast
    from mailengine.domain.reports.progress import Followed
    from mailengine.runtime import Runtime

_LOOK_SECONDS = 0.25
_JSON_LOOKS = 4  # one object a second
_WINDOW_SECONDS = 10  # the rate is that of the last ten seconds
_SILENCE_SECONDS = 15  # without progress, before the relay is suspected
_SHOWN = (
    "name", "state", "total", "queued", "sent", "failed", "skipped", "doubt", "launched_at", "finished_at"
)  # fmt: skip
_ENDED = frozenset({"draft", "scheduled", "sent", "cancelled"})


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one moment; `rate` in messages a second, None while nothing moved yet."""

    followed: "Followed"
    held: tuple[str, ...]
    rate: float | None
    seconds_left: float | None

    @property
    def ended(self) -> bool:
        return self.followed.progress.state in _ENDED

    @property
    def done(self) -> int:
        progress = self.followed.progress
        return progress.sent + progress.failed + progress.skipped + progress.doubt

    def shown(self) -> dict[str, Any]:
        progress = {name: getattr(self.followed.progress, name) for name in _SHOWN}
        left = None if self.seconds_left is None else round(self.seconds_left)
        rate = None if self.rate is None else round(self.rate, 1)
        throttled = throttled_shown(self.followed.throttled)
        return {
            **progress,
            "rate": rate,
            "seconds_left": left,
            "held": list(self.held),
            "throttled": throttled,
        }


def throttled_shown(found: "Forecast | None") -> dict[str, Any] | None:
    """A forecast as JSON."""
    if found is None:
        return None
    seconds = round(found.remaining.total_seconds())
    return {"rate": str(found.rate), "remaining_seconds": seconds, "text": str(found)}


async def watch(rt: "Runtime", scope: "Scope", campaign_id: "CampaignId", *, as_json: bool) -> Look:
    """Follow until the campaign ends; returns the last look, which is not printed yet."""
    looks = _looks(rt, scope, campaign_id)
    return await (_print_objects(looks) if as_json else _show_bar(looks))


async def _looks(rt: "Runtime", scope: "Scope", campaign_id: "CampaignId") -> AsyncIterator[Look]:
    from mailengine.domain.reports.progress import follow

    loop = asyncio.get_running_loop()
    window: deque[tuple[float, int]] = deque()
    moved_at, last_done = loop.time(), -1
    while True:
        async with rt.db.read(scope) as tx:
            followed = await follow(tx, scope, campaign_id=campaign_id, now=rt.clock.now())
        look = Look(followed, tuple(followed.held), None, None)
        now = loop.time()
        if look.done != last_done:
            moved_at, last_done = now, look.done
        window.append((now, look.done))
        while now - window[0][0] > _WINDOW_SECONDS:
            window.popleft()
        yield _completed(look, window, await daemon_runs(rt), now - moved_at)
        if look.ended:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _completed(look: Look, window: deque[tuple[float, int]], daemon: bool, silent_seconds: float) -> Look:
    """With the rate, the time left and what only the command line can see."""
    seconds, messages = window[-1][0] - window[0][0], window[-1][1] - window[0][1]
    rate = messages / seconds if seconds > 0 and messages > 0 else None
    queued, throttled = look.followed.progress.queued, look.followed.throttled
    held = list(look.held)
    if not look.ended and not daemon:
        held.append("no daemon runs; it is sent when `mailengine daemon` starts")
    elif not look.ended and not held and not throttled and queued and silent_seconds > _SILENCE_SECONDS:
        held.append("nothing moves; `mailengine relay test` and the daemon's log say why")
    left = queued / rate if rate and not held else None
    if throttled is not None:
        left = throttled.remaining.total_seconds()
    return Look(look.followed, tuple(held), rate, left)


async def _print_objects(looks: AsyncIterator[Look]) -> Look:
    number, last = 0, None
    async for last in looks:
        if number % _JSON_LOOKS == 0 and not last.ended:
            output.json_line(last.shown())
        number += 1
    assert last is not None
    output.json_line(last.shown())
    return last


async def _show_bar(looks: AsyncIterator[Look]) -> Look:
    last, said = None, ""
    with _bar() as bar:
        task = bar.add_task("", total=None, words="")
        async for last in looks:
            progress = last.followed.progress
            bar.update(task, total=progress.total, completed=last.done, words=_words(last))
            held = "; ".join(last.held)
            if held and held != said:
                bar.console.print(f"held: {output.one_line(held)}", markup=False, highlight=False)
            said = held
    assert last is not None
    return last


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True, highlight=False),
    )  # fmt: skip


def _words(look: Look) -> str:
    progress = look.followed.progress
    parts = [f"{progress.sent:,} sent", f"{progress.failed:,} failed", f"{progress.skipped:,} skipped"]
    if progress.doubt:
        parts.append(f"{progress.doubt:,} in doubt")
    if look.followed.throttled is not None:
        return " · ".join([*parts, str(look.followed.throttled)])
    if look.rate is not None:
        parts.append(f"{look.rate:,.0f}/s")
    if look.seconds_left is not None:
        parts.append(f"{timedelta(seconds=round(look.seconds_left))} left")
    return " · ".join(parts)
