"""People as they are: some open, fewer click, a few leave. They know only the mail they got.

Links are read from the caught messages and fetched by HTTP, as mail programs and browsers do.
"""

import asyncio
import html
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import httpx

OPEN, CLICK, LEAVE = 0.40, 0.15, 0.02  # of all recipients; who clicks or leaves has opened
_AT_ONCE = 20
_PIXEL = re.compile(r'https?://[^"\s]+/o/[^"\s]+\.gif')
_LINK = re.compile(r'href="(https?://[^"\s]+/c/[^"\s]+)"')
_ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058 section 3.1
_PROGRAMS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.2",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
)
_PARSER = BytesParser(policy=policy.default)


@dataclass(slots=True)
class Acts:
    """What the recipients did, as they remember it."""

    opens: int = 0
    clicks: int = 0
    unsubscribes: int = 0
    refused: int = 0  # requests that were not answered as they should


async def act(paths: list[Path], *, seed: int, done: Callable[[], None]) -> Acts:
    """Let each recipient decide; `done` is called after each one."""
    chance, acts = random.Random(seed), Acts()  # noqa: S311  # a play, no secrets
    plans = [(path, chance.random(), chance.randrange(1000)) for path in paths]
    gate = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:

        async def person(path: Path, mood: float, taste: int) -> None:
            async with gate:
                if mood < OPEN:
                    await _read(client, acts, path, mood, taste)
                done()

        async with asyncio.TaskGroup() as group:
            for plan in plans:
                group.create_task(person(*plan))
    return acts


async def _read(client: httpx.AsyncClient, acts: Acts, path: Path, mood: float, taste: int) -> None:
    """Open the message; perhaps follow a link, perhaps leave."""
    message = await asyncio.to_thread(_parsed, path)
    page, headers = _page(message), {"User-Agent": _PROGRAMS[taste % len(_PROGRAMS)]}
    pixel = _PIXEL.search(page)
    if pixel and await _got(client.get(pixel[0], headers=headers), acts, 200):
        acts.opens += 1
    links = [html.unescape(link) for link in _LINK.findall(page)]
    # The redirect itself is the click; where it leads is not ours to fetch.
    if mood < CLICK and links and await _got(client.get(_liked(links, taste), headers=headers), acts, 302):
        acts.clicks += 1
    if mood >= OPEN - LEAVE:
        leave = str(message["List-Unsubscribe"]).strip("<> ")
        if await _got(client.post(leave, data=_ONE_CLICK, headers=headers), acts, 200):
            acts.unsubscribes += 1


def _parsed(path: Path) -> EmailMessage:
    message = _PARSER.parsebytes(path.read_bytes())
    assert isinstance(message, EmailMessage)
    return message


def _page(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    return str(part.get_content()) if part else ""


def _liked(links: list[str], taste: int) -> str:
    """The first link is liked best: half take it, half of the others the second, and so on."""
    place = next((i for i in range(len(links)) if taste % 2 ** (i + 1) < 2**i), len(links) - 1)
    return links[place]


async def _got(request: Awaitable[httpx.Response], acts: Acts, status: int) -> bool:
    answer = await request
    if answer.status_code != status:
        acts.refused += 1
    return answer.status_code == status
