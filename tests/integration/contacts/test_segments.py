"""Segments on real databases: SQL gives whom plain Python gives; sums and what is above them; saved segments."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailengine.core.errors import Conflict, InvalidInput, NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database
from mailengine.domain.contacts import activity, tags
from mailengine.domain.contacts.lists import create_list
from mailengine.domain.contacts.segments import find, saved
from mailengine.domain.contacts.segments.parse import SegmentError, parse
from mailengine.domain.contacts.segments.rules import Activity, All, AnyOf, Compare, Not, Rule, normal
from mailengine.models import (
    Attribute,
    CampaignState,
    CampaignTotals,
    Contact,
    ContactActivity,
    ContactState,
    DeadLetter,
    EmailEvent,
    EmailTask,
    ListMember,
)
from support.house import INSTANCE, NOW, add_campaign
from support.segments import KINDS, Person, matches

pytestmark = pytest.mark.anyio

TAGS = ["vip", "Köln", "x"]
LISTS = ["Customers", "Other people"]
CAMPAIGNS = ["Spring", "Summer"]
COUNTRIES = ["DE", "de", "AT", "100%_", "Ö", "ö'\"\\"]
DAYS = ["1999-12-31", "2026-11-21", "2026-11-22", "2026-11-23"]
ACTS = {"opened": "open", "clicked": "click"}


def people(count: int = 120, seed: int = 5) -> list[Person]:
    """Whoever a rule could tell apart, at the edges of days among them."""
    chance = random.Random(seed)
    moments = [NOW, NOW - timedelta(days=30), NOW - timedelta(days=30, seconds=1), NOW + timedelta(hours=1)]
    moments += [datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)]
    values: dict[str, list[Any]] = {
        "country": COUNTRIES,
        "age": [0, 29, 30, 30.5, -1, 1000, 2**40],
        "born": [*DAYS, "2026-11-22T10:00:00Z", "2026-11-22T00:00:00Z"],
        "vegan": [True, False],
        "likes": [["a"], ["a", "b"], [], ["A"], ['"][']],
        "tag": ["vip", "x"],
    }
    found = []
    for number in range(count):
        acts = []
        for did in ("received", "bounced"):  # one of each campaign at most, as a task is
            acts += [(did, name, chance.choice(moments)) for name in CAMPAIGNS if chance.random() < 0.4]
        acts += [
            (chance.choice(list(ACTS)), chance.choice(CAMPAIGNS), chance.choice(moments))
            for _ in range(chance.choice([0, 0, 1, 2, 5]))
        ]
        found.append(
            Person(
                email=f"p{number}@{chance.choice(['example.org', 'mail.example.org', 'xn--bcher-kva.example'])}",
                first_name=chance.choice(["", "Ann", "ann", "Åse", "Bob 100%"]),
                last_name=chance.choice(["", "Lee"]),
                state=chance.choice(list(ContactState)).value,
                consent_source=chance.choice(["", "fair"]),
                consent_at=chance.choice([None, *moments]),
                created_at=chance.choice(moments),
                attributes={
                    name: chance.choice(options) for name, options in values.items() if chance.random() < 0.7
                },
                tags={tag for tag in TAGS if chance.random() < 0.3},
                lists={name for name in LISTS if chance.random() < 0.4},
                acts=acts,
            )
        )
    return found


PEOPLE = people()


async def settle(db: Database, scope: Scope, persons: list[Person]) -> None:
    """Store them, half of the campaigns ended and so in the sums, the other under way."""
    campaigns = {}
    for name, state in zip(CAMPAIGNS, (CampaignState.SENT, CampaignState.SENDING), strict=True):
        finished = NOW + timedelta(hours=2) if state is CampaignState.SENT else None
        made = await add_campaign(db, scope, template=name, name=name, state=state, finished_at=finished)
        campaigns[name] = made.id
    common = {"tenant_id": scope.tenant_id}
    async with db.write(scope) as tx:
        await tx.execute(
            sa.insert(Attribute),
            [{**common, "name": name, "label": name, "kind": kind} for name, kind in KINDS.items()],
        )
        lists = {name: (await create_list(tx, scope, name=name, now=NOW)).id for name in LISTS}
        tag_ids = await tags.ids_of(tx, scope, TAGS, now=NOW)
        columns = (
            "first_name",
            "last_name",
            "state",
            "consent_source",
            "consent_at",
            "created_at",
            "attributes",
        )
        await tx.execute(
            sa.insert(Contact),
            [
                {
                    **common,
                    **{name: getattr(person, name) for name in columns},
                    "email": person.email,
                    "email_key": person.email,
                    "consent_ip": "",
                    "updated_at": NOW,
                }
                for person in persons
            ],
        )
        contacts = table_of(Contact).c
        stored = await tx.execute(
            sa.select(contacts.email, contacts.id).where(contacts.tenant_id == scope.tenant_id)
        )
        ids = {row.email: row.id for row in stored}
        await tags.attach(tx, scope, [(tag_ids[tag], ids[p.email]) for p in persons for tag in p.tags])
        members = [
            {
                **common,
                "list_id": lists[name],
                "contact_id": ids[person.email],
                "state": "subscribed" if name in person.lists else "unsubscribed",
                "joined_at": NOW,
            }
            for person in persons
            for name in LISTS
        ]
        await tx.execute(sa.insert(ListMember), members)
        await tx.execute(sa.insert(EmailTask), list(tasks_of(common, persons, campaigns, ids)))
        made_tasks = table_of(EmailTask).c
        by_pair = await tx.execute(
            sa.select(made_tasks.campaign_id, made_tasks.contact_id, made_tasks.id).where(
                made_tasks.tenant_id == scope.tenant_id
            )
        )
        tasks = {(row.campaign_id, row.contact_id): row.id for row in by_pair}
        letters, events = [], []
        for person in persons:
            for did, name, at in person.acts:
                key = (campaigns[name], ids[person.email])
                row = {
                    **common,
                    "campaign_id": key[0],
                    "contact_id": key[1],
                    "task_id": tasks.get(key, 1),
                    "at": at,
                }
                if did == "bounced":
                    letters.append(
                        {**row, "email": person.email, "cause": "recipient", "code": 550, "enhanced": "",
                         "reply": "no", "attempts": 1}
                    )  # fmt: skip
                elif did in ACTS:
                    events.append(
                        {
                            **row,
                            "uid": f"{scope.tenant_id}-{len(events)}",
                            "kind": ACTS[did],
                            "link": None,
                            "ip": "",
                            "user_agent": "",
                        }
                    )
        totals = table_of(CampaignTotals)
        for name, campaign_id in campaigns.items():
            sent = sum(act[:2] == ("received", name) for person in persons for act in person.acts)
            values = {"tasks": len(persons), "sent": sent, "skipped": len(persons) - sent}
            await tx.execute(
                sa.update(totals)
                .where(totals.c.tenant_id == scope.tenant_id, totals.c.campaign_id == campaign_id)
                .values(**values)
            )
        await tx.execute(sa.insert(DeadLetter), letters)
        await tx.execute(sa.insert(EmailEvent), events)


def tasks_of(common: Any, persons: list[Person], campaigns: Any, ids: Any) -> Any:
    """A task for each campaign of each person: sent where they received it, else skipped."""
    for person in persons:
        received = {name: at for did, name, at in person.acts if did == "received"}
        for name in CAMPAIGNS:
            yield {
                **common,
                "campaign_id": campaigns[name],
                "contact_id": ids[person.email],
                "email": person.email,
                "status": "sent" if name in received else "skipped",
                "external_msg_id": "ok" if name in received else None,
                "scheduled_at": NOW,
                "attempts": 1,
                "last_reply": "",
                "finished_at": received.get(name, NOW),
            }


async def found_by(db: Database, scope: Scope, rule: Rule) -> set[str]:
    async with db.read(scope) as tx:
        query = await find.matching(tx, scope, rule, now=NOW, columns=[table_of(Contact).c.email])
        emails = (await tx.scalars(query)).all()
        assert await find.count(tx, scope, rule, now=NOW) == len(emails) == len(set(emails))
    return set(emails)


def expected(rule: Rule) -> set[str]:
    return {person.email for person in PEOPLE if matches(rule, person, NOW)}


texts = st.sampled_from(["ann", "Ann", "Å", "%", "_", "'", "\\", "DE", "de", "org", "x"])
comparisons = st.one_of(
    st.builds(Compare, st.just("state"), st.just("="), st.sampled_from(list(ContactState))),
    st.builds(
        Compare,
        st.just("tag"),
        st.just("in"),
        st.lists(st.sampled_from(["VIP", "KÖLN", "x"]), min_size=1).map(tuple),
    ),
    st.builds(
        Compare,
        st.sampled_from(["tag", "list", "age", "country", "likes", "born", "consent_at", "first_name"]),
        st.just("empty"),
    ),
    st.builds(Compare, st.just("list"), st.just("="), st.sampled_from(LISTS)),
    st.builds(
        Compare,
        st.sampled_from(["country", "first_name", "last_name", "attribute.tag"]),
        st.sampled_from(["=", "contains", "starts", "ends"]),
        texts,
    ),
    st.builds(
        Compare,
        st.just("country"),
        st.just("in"),
        st.lists(st.sampled_from(COUNTRIES), min_size=1).map(tuple),
    ),
    st.builds(
        Compare,
        st.just("email"),
        st.sampled_from(["contains", "starts", "ends", "="]),
        st.sampled_from(["P1", "ORG", "@mail", "p3@example.org"]),
    ),
    st.builds(
        Compare,
        st.just("domain"),
        st.sampled_from(["=", "contains", "ends"]),
        st.sampled_from(["example.org", "mail.example.org"]),
    ),
    st.builds(
        Compare,
        st.just("age"),
        st.sampled_from(["=", "<", "<=", ">", ">="]),
        st.sampled_from(["0", "30", "-1.5", "30.5", "1e3"]),
    ),
    st.builds(
        Compare,
        st.sampled_from(["born", "created_at", "consent_at"]),
        st.sampled_from(["=", "<", "<=", ">", ">="]),
        st.sampled_from(DAYS),
    ),
    st.builds(
        Compare,
        st.sampled_from(["born", "created_at", "consent_at"]),
        st.just("within"),
        st.sampled_from(["1", "30", "36500"]),
    ),
    st.builds(Compare, st.just("vegan"), st.just("="), st.sampled_from(["true", "FALSE"])),
    st.builds(Compare, st.just("likes"), st.just("contains"), st.sampled_from(["a", "b", "A"])),
)
acts = st.builds(
    Activity,
    st.sampled_from(["received", "opened", "clicked", "bounced"]),
    st.none() | st.sampled_from(CAMPAIGNS),
    st.sampled_from([1, 1, 2, 4]),
    st.sampled_from([None, 1, 30, 36500]),
)
rules = st.recursive(
    comparisons | acts,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


async def test_sql_gives_whom_plain_python_gives(
    db: Database, scope: Scope, other: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the sums are made, while they are made, and after; counted in one piece and in ranges."""
    monkeypatch.setattr(find, "_WORTH_SPLITTING", 0)
    await settle(db, scope, PEOPLE)
    await settle(db, other, PEOPLE[:10])
    drawn = sample_of(rules, 90)
    for number, rule in enumerate(drawn):
        if number in (30, 40, 50, 60):
            await activity.sum_events(db, INSTANCE, page=70)
            await activity.sum_tasks(db, INSTANCE, page=50)
        if number == 70:
            while await activity.sum_events(db, INSTANCE) + await activity.sum_tasks(db, INSTANCE):
                pass
        assert await found_by(db, scope, rule) == expected(rule), rule
        if number % 3 == 0:
            assert await find.live_count(db, scope, rule, now=NOW) == len(expected(rule)), rule


def sample_of(strategy: st.SearchStrategy[Rule], count: int) -> list[Rule]:
    """Hypothesis draws rules; one database serves them all."""
    drawn: list[Rule] = []

    @settings(
        max_examples=count,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(strategy)
    def draw(rule: Rule) -> None:
        try:
            drawn.append(normal(rule))
        except InvalidInput:
            return

    draw()
    return drawn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("created_at < 9998-12-31 and created_at >= 1000-01-01 and created_at within 36500 days", "ab"),
        ("created_at > 9998-12-31 or created_at < 1000-01-01", ""),
        ("born = 9999-12-31 or born <= 0001-01-01", "ab"),
        ("born within 36500 days", ""),
        (f"age < {10**30} and age > -1e308 and age != 1e-320", "ab"),
        (f"age > {10**30} or age = 1e-320", ""),
    ],
)
async def test_the_ends_of_dates_and_numbers(
    importing: Callable[..., Awaitable[Any]], db: Database, scope: Scope, text: str, expected: str
) -> None:
    rows = f"a@x.org,9999-12-31,{10**15 - 1}\nb@x.org,0001-01-01,{1 - 10**15}\n"
    await importing(f"email,born,age\n{rows}", mapping={"born": "born:date", "age": "age:number"})
    async with db.read(scope) as tx:
        rule = await find.checked(tx, scope, parse(text))
        page = await find.page_of(tx, scope, rule, page=PageRequest(), now=NOW)
    assert "".join(row.email[0] for row in page.items) == expected


async def test_sums_are_exact_and_made_once(db: Database, scope: Scope) -> None:
    await settle(db, scope, PEOPLE)
    while await activity.sum_events(db, INSTANCE, page=33) + await activity.sum_tasks(db, INSTANCE, page=33):
        pass
    sums, contacts = table_of(ContactActivity).c, table_of(Contact).c
    query = sa.select(contacts.email, sums.received, sums.opened, sums.clicked, sums.opened_at)
    query = query.where(sums.tenant_id == scope.tenant_id, sums.contact_id == contacts.id)
    async with db.read(scope) as tx:
        first = {row.email: tuple(row)[1:] for row in await tx.execute(query)}
    for person in PEOPLE:
        counts = [
            sum(did == act and (act != "received" or name == "Spring") for did, name, _at in person.acts)
            for act in ("received", "opened", "clicked")
        ]
        opened = [at for did, _name, at in person.acts if did == "opened"]
        if any(counts):
            assert first[person.email] == (*counts, max(opened, default=None))
    assert await activity.sum_events(db, INSTANCE) == await activity.sum_tasks(db, INSTANCE) == 0
    async with db.read(scope) as tx:
        assert {row.email: tuple(row)[1:] for row in await tx.execute(query)} == first


async def test_a_saved_segment_from_beginning_to_end(
    importing: Callable[..., Awaitable[Any]], db: Database, scope: Scope, other: Scope
) -> None:
    await importing("email,country,age\na@example.org,DE,30\nb@example.org,AT,40\nc@example.org,DE,50\n")
    async with db.write(scope) as tx:
        with pytest.raises(SegmentError, match=r"column 19, at `contry = DE`: .* did you mean country"):
            await saved.add(tx, scope, name="x", rule=parse("email is empty or contry = DE"), now=NOW)
        made = await saved.add(tx, scope, name=" Germans ", rule=parse("country = DE and age > 20"), now=NOW)
        with pytest.raises(Conflict):
            await saved.add(tx, scope, name="Germans", rule=parse("everyone"), now=NOW)
        rule = saved.rule_of(made)
        assert await find.count(tx, scope, rule, now=NOW) == 2
        page = await find.page_of(tx, scope, rule, page=PageRequest(limit=1), now=NOW)
        assert ([row.email for row in page.items], page.total) == (["a@example.org"], 2)
        rest = await find.page_of(tx, scope, rule, page=PageRequest(cursor=page.next), now=NOW)
        assert [row.email for row in rest.items] == ["c@example.org"]
        found = await find.sample(tx, scope, rule, limit=5, now=NOW, chance=random.Random(1))
        assert {row.email for row in found} == {"a@example.org", "c@example.org"}
        await saved.update(tx, scope, segment_id=made.id or 0, rule=parse("age >= 40"), name="Old", now=NOW)
        assert (
            await find.count(tx, scope, saved.rule_of(await saved.get(tx, scope, name="Old")), now=NOW) == 2
        )
    async with db.write(other) as tx:
        assert (await saved.list_segments(tx, other, page=PageRequest())).total == 0
        for act in (saved.delete, saved.update):
            with pytest.raises(NotFound):
                await act(tx, other, segment_id=made.id or 0, now=NOW)
        with pytest.raises(NotFound):
            await saved.get(tx, other, name="Old")
        with pytest.raises(InvalidInput, match="no field or attribute age"):
            await find.checked(tx, other, parse("age > 1"))
        assert await find.count(tx, other, parse("everyone").rule, now=NOW) == 0
    async with db.write(scope) as tx:
        await saved.delete(tx, scope, segment_id=made.id or 0, now=NOW)
        with pytest.raises(NotFound):
            await saved.get(tx, scope, name="Old")
