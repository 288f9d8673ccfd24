"""The checklist before a send: errors block, warnings are said.

`gather` reads what the rules look at, `judge` is pure, so that each rule can be read and tested alone.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.core.wording import counted
from mailengine.db.tenancy import owned, table_of
from mailengine.db.unit import ReadTx
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.campaigns.campaigns import get
from mailengine.domain.campaigns.pace import throttle
from mailengine.domain.campaigns.recipients import choice_of, missing_segments
from mailengine.domain.contacts.attributes import attribute_labels
from mailengine.domain.contacts.audience import (
    Choice,
    Chosen,
    audience,
    choose,
    reach,
)
from mailengine.domain.contacts.lists import present
from mailengine.domain.contacts.segments.rules import AnyOf
from mailengine.domain.content.links import fault, links_in
from mailengine.domain.content.merge import check, names_without_default, used_names
from mailengine.domain.content.snapshots import Sources
from mailengine.domain.content.templates import sources_of
from mailengine.domain.content.values import BUILT_IN_TAGS, CONTACT_TAGS, LINK_TAGS, TENANT_TAGS
from mailengine.domain.delivery.limits.forecast import Forecast
from mailengine.domain.senders.domains import covering
from mailengine.domain.senders.relays import default_relay
from mailengine.mail.address import parse_address
from mailengine.models import Campaign, Contact, ContactList, Relay, SendingDomain, Tenant

CLIPPED_BYTES = 102 * 1024  # Gmail shows no more of a message than this

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Item:
    """One rule's verdict; `code` is stable, `words` are for a person, `remedy` names a command that mends it."""

    code: str
    level: Level
    words: str
    remedy: str = ""

    @property
    def message(self) -> str:
        return f"{self.words}; {self.remedy}" if self.remedy else self.words


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the rules look at."""

    campaign: Campaign
    tenant: Tenant
    sources: Sources
    known_names: frozenset[str]
    audience: int
    left_out: Mapping[str, int]
    missing_lists: int
    missing_segments: int
    empty_values: Mapping[str, int]  # tag without default → recipients for whom it is empty
    relay: Relay | None
    domain: SendingDomain | None
    throttled: Forecast | None = None  # None: nothing slows it down
    fault: str = ""  # why there are no sources: a shared block that is not there
    segment_fault: str = ""  # why nobody was counted: a segment's tag that is not there any more


async def gather(tx: ReadTx, scope: Scope, *, campaign_id: CampaignId, now: datetime) -> Facts:
    """Read the facts of one campaign; raises NotFound."""
    campaign = await get(tx, scope, campaign_id=campaign_id)
    sources, fault = await _sources(tx, scope, campaign)
    list_ids = {*campaign.list_ids, *campaign.excluded_list_ids}
    lists = await tx.scalars(present(scope).where(col(ContactList.id).in_(list_ids)))
    chosen, segment_fault = await _chosen(tx, scope, campaign, now)
    reachable, left_out = await reach(tx, scope, chosen)
    return Facts(
        campaign=campaign,
        tenant=await get_tenant(tx, scope),
        sources=sources,
        known_names=BUILT_IN_TAGS | set(await attribute_labels(tx, scope)),
        audience=reachable,
        left_out=left_out,
        missing_lists=len(list_ids) - len(lists.all()),
        missing_segments=await missing_segments(tx, scope, campaign),
        empty_values=await _empty_values(tx, scope, chosen, sources),
        relay=await _relay(tx, scope, campaign),
        domain=await covering(tx, scope, domain=parse_address(campaign.from_email).domain),
        throttled=await throttle(tx, scope, campaign, messages=reachable, now=now),
        fault=fault,
        segment_fault=segment_fault,
    )


def judge(facts: Facts) -> list[Item]:
    """Every rule's verdict, in the order a person would read them."""
    content = (_tags, _unsubscribe, _postal_address)
    rules = (_subject, _audience, _relay_set, _throttle, _domain, _values, _links, _size)
    if facts.fault:  # nothing can be said of content that could not be put together
        first = [Item("merge_tags", "error", facts.fault)]
    else:
        first = [item for rule in content for item in rule(facts)]
    return first + [item for rule in rules for item in rule(facts)]


def blocking(items: Sequence[Item]) -> list[str]:
    return [item.message for item in items if item.level == "error"]


def _tags(facts: Facts) -> Iterator[Item]:
    found = False
    for part, source in _parts(facts.sources):
        for problem in check(source, known=facts.known_names):
            found = True
            yield Item("merge_tags", "error", f"{part}, {problem.message}")
    if not found:
        yield Item("merge_tags", "ok", "all merge tags are known")


def _unsubscribe(facts: Facts) -> Iterator[Item]:
    yield from _must_use(facts, "unsubscribe_url", "unsubscribe_link", "an unsubscribe link")


def _postal_address(facts: Facts) -> Iterator[Item]:
    if not facts.tenant.postal_address.strip():
        yield Item("postal_address", "error", "the organisation has no postal address; set it first")
        return
    yield from _must_use(facts, "postal_address", "postal_address", "the postal address")


def _must_use(facts: Facts, tag: str, code: str, what: str) -> Iterator[Item]:
    for part, source in (("the HTML", facts.sources.html), ("the text", facts.sources.text)):
        if tag not in _names(source):
            yield Item(code, "error", f"{part} must contain {what}; add {{{{ {tag} }}}}")
            return
    yield Item(code, "ok", f"{what} is there")


def _subject(facts: Facts) -> Iterator[Item]:
    length = len(facts.sources.subject)
    if not facts.sources.subject.strip():
        yield Item("subject", "error", "the subject is empty")
    elif length > 150:
        yield Item("subject", "warning", f"the subject has {length} characters; most programs show 50")
    else:
        yield Item("subject", "ok", "there is a subject")


def _audience(facts: Facts) -> Iterator[Item]:
    if facts.missing_lists:
        yield Item("audience", "error", "a list of this campaign is not there any more")
    if facts.missing_segments:
        yield Item("audience", "error", "a segment of this campaign is not there any more")
    if facts.segment_fault:
        yield Item("audience", "error", f"a segment of this campaign cannot be used: {facts.segment_fault}")
        return
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in facts.left_out.items() if count)
    left = f"; left out: {reasons}" if reasons else ""
    if facts.audience == 0:
        yield Item("audience", "error", f"nobody would receive it{left}")
    else:
        yield Item("audience", "ok", counted(facts.audience, "recipient", "recipients") + left)


def _relay_set(facts: Facts) -> Iterator[Item]:
    if facts.relay is None:
        yield Item(
            "relay", "error", "there is no SMTP server to send with", "`mailengine relay add` sets one"
        )
    elif not facts.relay.enabled:
        name = facts.relay.name
        remedy = f"`mailengine relay update {name} --enable` enables it"
        yield Item("relay", "error", f"the relay {name} is disabled", remedy)
    else:
        yield Item("relay", "ok", f"it is sent through {facts.relay.name}")


def _throttle(facts: Facts) -> Iterator[Item]:
    """No warning: a limit is somebody's wish, and said so that slow is not taken for stuck."""
    if facts.throttled is not None:
        yield Item("throttle", "ok", str(facts.throttled))


def _domain(facts: Facts) -> Iterator[Item]:
    name = parse_address(facts.campaign.from_email).domain
    if facts.domain is not None and facts.domain.verified_at is not None:
        yield Item("domain", "ok", f"{name} is verified")
        return
    todo = "verify" if facts.domain is not None else "add"
    level: Level = "warning" if facts.relay is not None and is_private(facts.relay.host) else "error"
    yield Item("domain", level, f"{name} is not verified", f"run `mailengine domain {todo} {name}`")


def _values(facts: Facts) -> Iterator[Item]:
    for name, count in facts.empty_values.items():
        if count:
            whom = counted(count, "recipient", "recipients")
            hint = f'{{{{ {name}|default("…") }}}}'
            yield Item("empty_values", "warning", f"{name} is empty for {whom}; write {hint}")


def _links(facts: Facts) -> Iterator[Item]:
    for link in links_in(facts.sources.html):
        trouble = fault(link.url)
        if trouble is not None:
            yield Item("links", "warning", f"line {link.line}: {trouble}: {link.url}")


def _size(facts: Facts) -> Iterator[Item]:
    size = len(facts.sources.html.encode())
    if size > CLIPPED_BYTES:
        shown = f"{size / 1024:.0f} kB"
        yield Item("size", "warning", f"the HTML has {shown}; Gmail cuts messages off at 102 kB")


def is_private(host: str) -> bool:
    """True for a relay on this machine or in a private network: there, DNS is not what authenticates."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_private or address.is_loopback


def _parts(sources: Sources) -> tuple[tuple[str, str], ...]:
    return (("subject", sources.subject), ("HTML", sources.html), ("text", sources.text))


def _names(source: str, *, without_default: bool = False) -> frozenset[str]:
    """The tags of a source; none when it does not parse, which `_tags` reports."""
    try:
        return (names_without_default if without_default else used_names)(source)
    except InvalidInput:
        return frozenset()


async def _sources(tx: ReadTx, scope: Scope, campaign: Campaign) -> tuple[Sources, str]:
    try:
        sources = await sources_of(tx, scope, template_id=campaign.template_id, subject=campaign.subject)
    except InvalidInput as error:
        return Sources(campaign.subject, "", ""), str(error)
    return sources, ""


async def _relay(tx: ReadTx, scope: Scope, campaign: Campaign) -> Relay | None:
    if campaign.relay_id is None:
        return await default_relay(tx, scope)
    relay: Relay | None = await tx.scalar(owned(Relay, scope).where(col(Relay.id) == campaign.relay_id))
    return relay


async def _chosen(tx: ReadTx, scope: Scope, campaign: Campaign, now: datetime) -> tuple[Chosen, str]:
    choice = await choice_of(tx, scope, campaign)
    try:
        return await choose(tx, scope, choice, now=now), ""
    except InvalidInput as error:
        nobody = Choice(list_ids=choice.list_ids, segments=(AnyOf(()),))
        return await choose(tx, scope, nobody, now=now), str(error)


async def _empty_values(tx: ReadTx, scope: Scope, chosen: Chosen, sources: Sources) -> dict[str, int]:
    """How many recipients lack a value that the template prints without a default."""
    contacts = table_of(Contact).c
    names = {name for _, source in _parts(sources) for name in _names(source, without_default=True)}
    asked = sorted(names - {"email", *TENANT_TAGS, *LINK_TAGS, "full_name"})
    if not asked:
        return {}
    values = [
        contacts[name] if name in CONTACT_TAGS else contacts.attributes[name].as_string() for name in asked
    ]
    empty = [sa.func.coalesce(value, "") == "" for value in values]
    counts = [sa.func.sum(sa.case((condition, 1), else_=0)) for condition in empty]
    # One pass for all of them, and over nobody who lacks nothing.
    query = audience(scope, chosen).with_only_columns(*counts).where(sa.or_(*empty))
    row = (await tx.execute(query)).one()
    return {name: number or 0 for name, number in zip(asked, row, strict=True)}
