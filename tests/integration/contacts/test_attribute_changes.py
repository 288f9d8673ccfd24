"""An attribute is renamed or removed with its values; what uses it is named and keeps it; each tenant's own."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from mailengine.core.ids import JobId
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database
from mailengine.domain.campaigns import attribute_changes
from mailengine.domain.campaigns.attribute_changes import Change, do_at_once, holders, request
from mailengine.domain.campaigns.attribute_uses import uses
from mailengine.domain.contacts import attributes
from mailengine.domain.contacts.imports import mappings
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.retyping import request_retype
from mailengine.domain.contacts.segments import saved
from mailengine.domain.contacts.segments.parse import parse
from mailengine.domain.contacts.segments.rules import to_json
from mailengine.domain.content import blocks
from mailengine.domain.jobs import jobs
from mailengine.models import (
    AttributeKind,
    Campaign,
    CampaignState,
    CampaignTotals,
    Contact,
    JobState,
    Snapshot,
    Template,
    TemplateVersion,
)
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
PEOPLE = "email,code,city\na@x.example,x7,Bonn\nb@x.example,x8,\nc@x.example,,Köln\n"


async def values(stored: Stored, scope: Scope) -> list[dict[str, Any]]:
    return [row.attributes for _address, row in sorted((await stored(scope)).items())]


async def names(db: Database, scope: Scope) -> list[str]:
    async with db.read(scope) as tx:
        return list(await attributes.attribute_labels(tx, scope))


async def test_a_value_moves_and_goes(
    importing: Importing,
    stored: Stored,
    db: Database,
    scope: Scope,
    other: Scope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attribute_changes, "PAGE", 1)
    await importing(PEOPLE)
    await importing(PEOPLE, scope=other)
    assert await do_at_once(db, scope, Change("code", "member_code"), now=NOW) == 2
    moved = [{"member_code": "x7", "city": "Bonn"}, {"member_code": "x8"}, {"city": "Köln"}]
    assert (await values(stored, scope), await names(db, scope)) == (moved, ["city", "member_code"])
    with pytest.raises(Refused, match="has another value under city; empty one of the two"):
        await do_at_once(db, scope, Change("member_code", "city"), now=NOW)
    assert await values(stored, scope) == moved
    async with db.read(scope) as tx:
        assert await holders(tx, scope, name="city") == (2, True)
        assert await holders(tx, scope, name="city", among=1) == (1, False)
    assert await do_at_once(db, scope, Change("city"), now=NOW) == 2
    assert await values(stored, scope) == [{"member_code": "x7"}, {"member_code": "x8"}, {}]
    for wrong, error in (
        (Change("city"), NotFound), (Change("member_code", "if"), InvalidInput),
        (Change("member_code", "Größe"), InvalidInput), (Change("member_code", "member_code"), InvalidInput),
    ):  # fmt: skip
        with pytest.raises(error):
            await do_at_once(db, scope, wrong, now=NOW)
    reader = Scope(scope.tenant_id, "user:1", frozenset({Grant.READ}))
    with pytest.raises(Forbidden):
        await do_at_once(db, reader, Change("member_code"), now=NOW)
    assert (await values(stored, other))[0] == {"code": "x7", "city": "Bonn"}
    assert await names(db, other) == ["city", "code"]


async def test_as_a_job_that_is_killed_and_cancelled(
    importing: Importing, stored: Stored, db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute_changes, "PAGE", 1)
    await importing(PEOPLE)

    async def ask(change: Change) -> JobId:
        async with db.write(scope) as tx:
            return JobId((await request(tx, scope, change, now=NOW)).id or 0)

    async def piece(job_id: JobId) -> bool:
        """As the daemon does it that is killed after every page."""
        async with db.write(scope) as tx:
            await jobs.start(tx, scope, job_id=job_id, now=NOW)
        async with db.write(scope) as tx:
            return await attribute_changes.change_page(tx, scope, job_id=job_id, now=NOW)

    first = await ask(Change("code", "kode"))
    for another in (Change("code"), Change("kode"), Change("city", "kode")):
        with pytest.raises(Conflict, match=f"job {first} changes"):
            await ask(another)
    await piece(first)
    async with db.write(scope) as tx:
        await jobs.cancel(tx, scope, job_id=first, now=NOW)
    again = await ask(Change("code", "kode"))
    while await piece(again):
        pass
    assert (await values(stored, scope))[:2] == [{"kode": "x7", "city": "Bonn"}, {"kode": "x8"}]
    async with db.read(scope) as tx:
        done = await jobs.get(tx, scope, job_id=again)
    assert (done.state, done.result["changed"], done.done, done.total) == (JobState.DONE, 1, 3, 3)


async def test_what_uses_it_is_named(importing: Importing, db: Database, scope: Scope, other: Scope) -> None:
    await importing(PEOPLE)
    await importing(PEOPLE, scope=other)
    tag, at = "<p>{{ code|default('none') }}</p>", {"tenant_id": int(scope.tenant_id), "created_at": NOW}
    async with db.write(scope) as tx:
        for name, html, version in (("Reads", tag, 2), ("Read once", "<p>code</p>", 2)):
            template = Template(name=name, version=version, updated_at=NOW, **at)
            tx.add(template)
            await tx.flush()
            for number, source in ((1, tag), (2, html)):
                words = {"source": source, "html": source, "text": "", "created_by": "test"}
                tx.add(TemplateVersion(template_id=template.id or 0, version=number, **words, **at))
        await blocks.save(tx, scope, name="foot", html=tag, now=NOW)
        await saved.add(tx, scope, name="Sevens", rule=parse("not (attribute.code = x7)"), now=NOW)
        await saved.add(tx, scope, name="Bonners", rule=parse("attribute.city = code"), now=NOW)
        await mappings.save(tx, scope, name="monthly", mapping={"Code": "code:text", "X": "city"}, now=NOW)
        of = {"template_id": template.id, "from_email": "a@x.test", "updated_at": NOW}
        tx.add(Campaign(name="Draft", subject="Your {{ code }}", **of, **at))
        asks = {
            "segments": [to_json(parse("city = Bonn").rule)],
            "without": [to_json(parse("not code = x7").rule)],
        }
        frozen = {"from_name": "", "from_email": "a@x.test", "text": ""}
        for name, html, rules, ended in (
            ("Under way", tag, {}, None), ("To some", "<p>code</p>", asks, None), ("Over", tag, asks, NOW),
        ):  # fmt: skip
            state = CampaignState.SENT if ended else CampaignState.SENDING
            sent = Campaign(
                name=name,
                state=state,
                subject="News",
                audience_rules=rules,
                launched_at=NOW,
                finished_at=ended,
                **of,
                **at,
            )
            sent.launched_at = NOW
            tx.add(sent)
            await tx.flush()
            tx.add(CampaignTotals(campaign_id=sent.id or 0, tenant_id=int(scope.tenant_id)))
            snapshot = Snapshot(campaign_id=sent.id or 0, subject="News", html=html, **frozen, **at)
            tx.add(snapshot)
            await tx.flush()
            sent.snapshot_id = snapshot.id
    named = [
        "the template Reads", "the block foot", "the campaign Draft", "the campaign To some",
        "the campaign Under way", "the segment Sevens", "the mapping monthly",
    ]  # fmt: skip
    async with db.read(scope) as tx:
        assert await uses(tx, scope, name="code") == named
    async with db.read(other) as tx:
        assert await uses(tx, other, name="code") == []
    for change in (Change("code"), Change("code", "kode")):
        with pytest.raises(
            Refused, match=r"code is used by the template Reads, .* and 2 more; take it out there"
        ):
            await do_at_once(db, scope, change, now=NOW)
    assert await names(db, scope) == ["city", "code"]


async def test_an_attribute_that_is_called_like_a_kind(
    importing: Importing, db: Database, scope: Scope
) -> None:
    """What another becomes is a kind, and not this one."""
    await importing("email,number,code\na@x.example,1,7\n")
    async with db.write(scope) as tx:
        await request_retype(tx, scope, name="code", kind=AttributeKind.NUMBER, drop=True, now=NOW)
        job = await request(tx, scope, Change("number", "digits"), now=NOW)
        assert (job.result["name"], job.result["to"]) == ("number", "digits")
