"""Where a click leads: links per campaign in memory, and the clicks of one moment looked up together.

Invariant: only a link that the campaign's snapshot holds is ever an answer, and only with http or https.
A transaction a click would allow some hundred clicks a second; while one read runs, the clicks that arrive
wait for the next, which takes them all.
"""

import asyncio
from collections import OrderedDict
from urllib.parse import quote, urlsplit

from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope
from mailengine.db.unit import Database
from mailengine.domain.tracking.events import links_of, owners_of
from mailengine.domain.tracking.tokens import Recipient

CAMPAIGNS = 500  # each holds its links; an old campaign that is clicked again is read again
BATCH = 1000
_URL_CHARS = "!#$%&'*+(),/:;=?@[]~"  # RFC 3986 reserved, %, and ~: what is already encoded stays as it is

Waiting = tuple[Recipient, "asyncio.Future[list[str]]"]


class Targets:
    """The links of the campaigns that were clicked lately. A snapshot never changes, so nothing expires."""

    def __init__(self, db: Database, instance: InstanceScope, capacity: int = CAMPAIGNS) -> None:
        self._db = db
        self._instance = instance
        self._capacity = capacity
        self._links: OrderedDict[CampaignId, list[str]] = OrderedDict()
        self._waiting: list[Waiting] = []
        self._reader: asyncio.Task[None] | None = None

    async def find(self, recipient: Recipient, index: int) -> str | None:
        """The address to send the recipient to, None when the message has no such link."""
        found: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._waiting.append((recipient, found))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_waiting())
        links = await found
        return redirect_target(links[index]) if 0 <= index < len(links) else None

    async def _read_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                links = await self._read({recipient for recipient, _ in batch})
            except Exception as error:  # every click of this batch is told, the next is tried
                for _, found in batch:
                    _settle(found, error)
            else:
                for recipient, found in batch:
                    _settle(found, links.get(recipient, []))

    async def _read(self, recipients: set[Recipient]) -> dict[Recipient, list[str]]:
        """The links of each recipient's campaign; campaigns that are not in memory are read with them."""
        async with self._db.read(self._instance) as tx:
            owners = await owners_of(tx, self._instance, recipients)
            campaigns = {campaign for campaign, _ in owners.values()}
            links = {known: self._links[known] for known in campaigns & self._links.keys()}
            if unknown := campaigns - links.keys():
                links |= await links_of(tx, self._instance, unknown)
        self._keep(links)
        return {recipient: links.get(campaign, []) for recipient, (campaign, _) in owners.items()}

    def _keep(self, links: dict[CampaignId, list[str]]) -> None:
        """Make these the last to go."""
        for campaign_id, targets in links.items():
            self._links[campaign_id] = targets
            self._links.move_to_end(campaign_id)
        while len(self._links) > self._capacity:
            self._links.popitem(last=False)


def _settle(found: "asyncio.Future[list[str]]", result: list[str] | Exception) -> None:
    """Answer one who waits, unless their client has left."""
    if found.done():
        return
    if isinstance(result, Exception):
        found.set_exception(result)
    else:
        found.set_result(result)


def redirect_target(url: str) -> str | None:
    """The link as ASCII for a Location header, None for what no browser should be sent to.

    Control characters and line breaks are encoded, so that no header can be added through a link.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        return None
    return quote(url, safe=_URL_CHARS)
