"""Whom the ticked lists and segments of an audience would reach: the rules of the checklist, nothing is saved."""

import re
from typing import Any

import httpx
import pytest

from mailengine.core.ids import CampaignId
from mailengine.domain.campaigns import campaigns
from mailengine.domain.campaigns.campaigns import Fields
from mailengine.domain.contacts import lists, tags
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.models import Contact, ListMember
from mailengine.runtime import Runtime
from support.browsing import log_in, token_on
from support.tags import lose_tag

pytestmark = pytest.mark.anyio


@pytest.fixture
def database_url(sqlite_dsn: str) -> str:
    """The use cases are tested on both databases."""
    return sqlite_dsn


REACHED = re.compile(r'id="reachable">([^<]*)<')


async def test_the_audience_is_counted_with_each_tick(
    client: httpx.AsyncClient, rt: Runtime, acme: Any, other: Any
) -> None:
    await log_in(client, acme.email)
    csrf = {"_csrf_token": await token_on(client, "/account")}
    scope, now = acme.scope, rt.clock.now()
    async with rt.db.write(scope) as tx:
        second = await lists.create_list(tx, scope, name="Second", now=now)
        left = Contact(
            tenant_id=scope.tenant_id, email="left@x.test", email_key="left@x.test", state="unsubscribed",
            created_at=now, updated_at=now,
        )  # fmt: skip
        tx.add(left)
        await tx.flush()
        for contact_id in (acme.contact_id, left.id):
            tx.add(
                ListMember(tenant_id=scope.tenant_id, list_id=second.id, contact_id=contact_id, joined_at=now)
            )
        anns = await saved.add(tx, scope, name="Anns", rule=parse("state = subscribed"), now=now)
        await tags.create_tag(tx, scope, name="gone", now=now)
        tagged = await saved.add(tx, scope, name="Tagged", rule=parse("tag = gone"), now=now)
        await lose_tag(tx, scope, "gone")
        draft = await campaigns.create(
            tx,
            scope,
            Fields(name="D", template="acme letter", subject="S", sender="a@x.test", lists=["Second"]),
            now=now,
        )
    async with rt.db.write(other.scope) as tx:
        foreign = await saved.add(tx, other.scope, name="Theirs", rule=parse("state = subscribed"), now=now)
    reach = f"/campaigns/{draft.id}/reach"
    page = (await client.get(f"/campaigns/{draft.id}/audience")).text
    assert f'hx-post="{reach}"' in page

    async def ticked(**chosen: Any) -> tuple[list[str], str]:
        answer = await client.post(reach, data={**chosen, **csrf})
        assert answer.status_code == 200, answer.text
        return REACHED.findall(answer.text), answer.text

    one, text = await ticked(lists=[second.id])
    assert (one, "Unsubscribed" in text, "of 2 contacts" in text) == (["1"], True, True)
    both, text = await ticked(lists=[second.id, acme.list_id])
    assert (both, "1 membership is a second one" in text) == (["1"], True)
    without, text = await ticked(lists=[second.id], not_segments=[anns.id])
    assert (without, "Excluded" in text) == (["0"], True)
    assert (await ticked(segments=[anns.id]))[0] == ["1"]
    assert (await ticked(lists=[other.list_id]))[0] == ["0"], "another tenant's list"
    for chosen, words in (
        ({}, "Choose at least one"), ({"segments": [foreign.id]}, "not there any more"),
        ({"lists": ["x", "9" * 30]}, "Choose at least one"), ({"segments": [tagged.id]}, "gone"),
    ):  # fmt: skip
        nobody, text = await ticked(**chosen)
        assert (nobody, words in text) == ([], True), (chosen, text)
    assert (await client.post(f"/campaigns/{other.campaign_id}/reach", data=csrf)).status_code == 404
    counted = (await client.get("/campaigns/audience/members")).text
    assert f'hx-target="#subscribed-{second.id}" hx-swap="innerHTML">2<' in counted
    assert f"subscribed-{other.list_id}" not in counted
    async with rt.db.read(scope) as tx:
        row = await campaigns.get(tx, scope, campaign_id=CampaignId(draft.id or 0))
        assert (row.list_ids, row.segment_ids) == ([second.id], []), "nothing is saved"
