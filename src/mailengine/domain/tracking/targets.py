"""Where a click leads: links per campaign in memory, so that a click costs one read of a primary key.

Invariant: only a link that the campaign's snapshot holds is ever an answer, and only with http or https.
"""

from collections import OrderedDict
from urllib.parse import quote, urlsplit

from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.tracking.events import campaign_of, links_of
from mailengine.domain.tracking.tokens import Recipient

CAMPAIGNS = 500  # each holds its links; an old campaign that is clicked again is read again
_URL_CHARS = "!#$%&'()*+,/:;=?@[]~"  # RFC 3986 reserved, %, and ~: what is already encoded stays as it is


class Targets:
    """The links of the campaigns that were clicked lately. A snapshot never changes, so nothing expires."""

    def __init__(self, db: Database, capacity: int = CAMPAIGNS) -> None:
        self._db = db
        self._capacity = capacity
        self._links: OrderedDict[CampaignId, list[str]] = OrderedDict()

    async def find(self, recipient: Recipient, index: int) -> str | None:
        """The address to send the recipient to, None when the message has no such link."""
        scope = Scope(recipient.tenant_id, actor="link", grants=frozenset())
        async with self._db.read(scope) as tx:
            campaign_id = await campaign_of(tx, scope, task_id=recipient.task_id)
            if campaign_id is None:
                return None
            if campaign_id not in self._links:
                self._keep(campaign_id, await links_of(tx, scope, campaign_id=campaign_id))
        self._links.move_to_end(campaign_id)
        links = self._links[campaign_id]
        return redirect_target(links[index]) if 0 <= index < len(links) else None

    def _keep(self, campaign_id: CampaignId, links: list[str]) -> None:
        self._links[campaign_id] = links
        while len(self._links) > self._capacity:
            self._links.popitem(last=False)


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
