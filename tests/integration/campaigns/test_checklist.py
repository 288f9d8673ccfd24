"""Each rule of the checklist: what passes, what is said, what blocks."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import NotFound, Refused
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.domain.campaigns.checklist import Item
from mailengine.domain.campaigns.launch import check, launch
from mailengine.domain.content import blocks, templates
from mailengine.models import Contact, Relay, SendingDomain, Tenant
from support.world import HTML, NOON, World

pytestmark = pytest.mark.anyio


async def items_of(world: World, campaign_id: CampaignId) -> dict[str, Item]:
    """The verdicts by rule, the worst of each."""
    rank = ("ok", "warning", "error")
    found: dict[str, Item] = {}
    for item in await check(world.db, world.scope, campaign_id=campaign_id, now=NOON):
        if item.code not in found or rank.index(item.level) > rank.index(found[item.code].level):
            found[item.code] = item
    return found


async def test_a_good_draft_passes_every_rule(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        verified = SendingDomain(
            tenant_id=world.scope.tenant_id, domain="example.org", created_at=NOON, verified_at=NOON
        )
        tx.add(verified)
    html = HTML.replace("https://example.org/offer", "https://acme.de/offer")
    items = await items_of(world, await world.draft(html=html))
    assert {item.level for item in items.values()} == {"ok"}, items
    assert items["audience"].message == "5 recipients"


@pytest.mark.parametrize(
    ("html", "rule", "words"),
    [
        (HTML.replace("first_name", "frist_name"), "merge_tags", 'did you mean "first_name"?'),
        (HTML.replace("{{ unsubscribe_url }}", "https://acme.de"), "unsubscribe_link", "unsubscribe_url"),
        (HTML.replace("{{ postal_address }}", "Street 1"), "postal_address", "postal_address"),
    ],
)
async def test_what_the_content_lacks_blocks(world: World, html: str, rule: str, words: str) -> None:
    campaign_id = await world.draft(html=html)
    item = (await items_of(world, campaign_id))[rule]
    assert item.level == "error"
    assert words in item.message
    with pytest.raises(Refused) as refused:
        await world.launch(campaign_id)
    assert item.message in refused.value.reasons
    async with world.db.read(world.scope) as tx:
        assert (await tx.scalar(sa.select(sa.func.count()).select_from(sa.text("snapshots")))) == 0


async def test_an_organisation_without_postal_address_blocks(world: World) -> None:
    campaign_id = await world.draft()
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.update(Tenant).values(postal_address=" "))
    assert (await items_of(world, campaign_id))["postal_address"].level == "error"


async def test_a_missing_shared_block_blocks_instead_of_ending_the_check(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        await blocks.save(tx, world.scope, name="foot", html="<p>bye</p>", now=NOON)
    campaign_id = await world.draft(html=HTML + '{% include "foot" %}')
    assert (await items_of(world, campaign_id))["merge_tags"].level == "ok"
    async with world.db.write(world.scope) as tx:
        await blocks.remove(tx, world.scope, name="foot", now=NOON)
    item = (await items_of(world, campaign_id))["merge_tags"]
    assert item.level == "error"
    assert "foot" in item.message


async def test_a_subject_too_long_to_be_read_is_said(world: World) -> None:
    items = await items_of(world, await world.draft(subject="x" * 151))
    assert items["subject"].level == "warning"


async def test_an_audience_of_nobody_blocks_and_says_who_was_left_out(world: World) -> None:
    campaign_id = await world.draft()
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(Contact)
            .where(tenant_of(Contact) == world.scope.tenant_id)
            .values(state=sa.case((col(Contact.email) == "u0@example.org", "bounced"), else_="unsubscribed"))
            .execution_options(synchronize_session=False)
        )
    item = (await items_of(world, campaign_id))["audience"]
    assert item.level == "error"
    assert "4 unsubscribed" in item.message
    assert "1 bounced" in item.message


async def test_an_empty_value_is_counted(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        await tx.execute(
            sa.update(Contact)
            .where(tenant_of(Contact) == world.scope.tenant_id, col(Contact.email) == "u0@example.org")
            .values(last_name="")
            .execution_options(synchronize_session=False)
        )
    items = await items_of(world, await world.draft(html=HTML + "<p>{{ last_name }}</p>"))
    assert items["empty_values"].level == "warning"
    assert "last_name is empty for 1 recipient;" in items["empty_values"].message


@pytest.mark.parametrize(
    ("host", "level"),
    [
        ("127.0.0.1", "warning"),
        ("192.168.1.9", "warning"),
        ("localhost", "warning"),
        ("smtp.acme.de", "error"),
    ],
)
async def test_an_unverified_domain_blocks_only_where_the_world_checks_it(
    world: World, host: str, level: str
) -> None:
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.update(Relay).where(tenant_of(Relay) == world.scope.tenant_id).values(host=host))
    assert (await items_of(world, await world.draft()))["domain"].level == level


async def test_a_subdomain_is_as_verified_as_its_parent(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        tx.add(
            SendingDomain(
                tenant_id=world.scope.tenant_id, domain="example.org", created_at=NOON, verified_at=NOON
            )
        )
    items = await items_of(world, await world.draft(sender="Acme <news@mail.example.org>"))
    assert items["domain"].level == "ok"


async def test_no_relay_blocks(world: World) -> None:
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.delete(Relay).where(tenant_of(Relay) == world.scope.tenant_id))
    assert (await items_of(world, await world.draft()))["relay"].level == "error"


async def test_a_link_to_nowhere_and_a_page_that_is_clipped_are_said(world: World) -> None:
    links = HTML.replace("https://example.org/offer", "http://localhost/offer")
    assert (await items_of(world, await world.draft(html=links)))["links"].level == "warning"
    large = HTML.replace("</body>", f"<p>{'word ' * 22_000}</p></body>")
    assert (await items_of(world, await world.draft(name="Large", html=large)))["size"].level == "warning"


async def test_a_list_that_was_deleted_blocks(world: World) -> None:
    campaign_id = await world.draft()
    async with world.db.write(world.scope) as tx:
        await tx.execute(sa.text("UPDATE campaigns SET list_ids = '[999]'"))
    item = (await items_of(world, campaign_id))["audience"]
    assert item.level == "error"


async def test_another_tenant_finds_no_campaign(world: World, stranger: Scope) -> None:
    campaign_id = await world.draft()
    with pytest.raises(NotFound):
        await check(world.db, stranger, campaign_id=campaign_id, now=NOON)
    with pytest.raises(NotFound):
        await launch(world.db, stranger, campaign_id=campaign_id, now=NOON)


async def test_a_template_is_checked_as_it_was_written(world: World) -> None:
    """Sanitised, an unclosed tag is text, and would be sent as such."""
    broken: dict[str, Any] = {"known": ()}
    for source in ("<p>Hi {{ first_name</p>", "<p>{% if first_name %}Hi</p>"):
        with pytest.raises(Exception, match="the template cannot be used: line 1"):
            await templates.prepare(source, **broken)
    prepared = await templates.prepare("<p>{{ nobody }}</p>", known=())
    assert [problem.name for problem in prepared.unknown] == ["nobody"]
