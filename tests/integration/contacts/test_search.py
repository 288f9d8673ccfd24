"""Searching on real databases: the same people are found in the index, in the queue before it, and by reading all;
whoever was erased leaves nothing in the index."""

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import InvalidInput
from mailengine.core.ids import ListId
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Scope
from mailengine.db.unit import Database
from mailengine.domain.contacts import contacts, lists, tags
from mailengine.domain.contacts.browsing import Filter, Order, browse
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.contacts.search import find, linked
from mailengine.domain.contacts.search.index import index_some, purge
from mailengine.domain.privacy.erase import erase
from mailengine.models import Contact, ContactState
from support.house import INSTANCE, KEYRING, NOW
from support.plans import asked, plan_of

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]

PEOPLE = """email,first name,last name,city
anna.schmidt@example.org,Anna,Schmidt,Berlin
bob@mail.example.com,Bob,Lee,Bern
aase@example.org,Åse,O'Neil,"Sankt ""Gallen"" X"
per_cent@example.org,100% Bob,a_b,Köln
zoe@example.net,שלום,王伟,
"""
HOSTILE = (
    '"', "'", '""', "' OR 1=1 --", "anna AND bob", "anna OR bob", "NEAR(a b)", "anna*", "words:anna", "^anna",
    "-anna", "(anna", "%", "_", "%%%", "a%", "a_b", "100%", "\\", "!_%", "[a]", "\u202eanna", "שלום", "王伟", "王",
    "\U0001f600", "\ue000\ue001\ue000", "\x1fann", "a\x1fb", "null", "x" * 320, "é́́́", "İ", "ß", "{x}", "$.a",
)  # fmt: skip


async def indexed(db: Database) -> None:
    while await index_some(db, INSTANCE):
        pass


async def found(db: Database, scope: Scope, text: str, **options: Any) -> list[str]:
    async with db.read(scope) as tx:
        page = await contacts.search(tx, scope, text=text, page=PageRequest(), **options)
    assert page.total == len(page.items)
    return sorted(contact.email.partition("@")[0] for contact in page.items)


async def waiting(db: Database) -> int:
    async with db.read(INSTANCE) as tx:
        return await tx.scalar(sa.text("SELECT count(*) FROM search_queue")) or 0


CASES = {
    "schmi": ["anna.schmidt"],
    "NA.SCHMIDT@EX": ["anna.schmidt"],
    "anna schmidt": ["anna.schmidt"],
    "example.org": ["aase", "anna.schmidt", "per_cent"],
    "åse": ["aase"],
    "ÅSE": ["aase"],
    "o'n": ["aase"],
    "100%": ["per_cent"],
    "100% bob": ["per_cent"],
    "100% bot": [],
    "a_b": ["per_cent"],
    "r_c": ["per_cent"],
    "le": ["bob"],
    "Bo": ["bob"],
    "nn": [],
    "a": ["aase", "anna.schmidt"],
    "Z": ["zoe"],
    "王": ["zoe"],
    "王伟": ["zoe"],
    "ום": [],
    "של": ["zoe"],
    "big": ["bob"],
    "fish": [],
    "nobody": [],
}


@pytest.mark.parametrize("way", ["queue", "index", "many", "rows"])
async def test_whoever_is_meant_is_found(
    importing: Importing, db: Database, scope: Scope, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    await importing(PEOPLE)
    async with db.write(scope) as tx:
        bob = await contacts.get_contact(tx, scope, address="bob@mail.example.com")
        await tags.tag_contacts(tx, scope, tag="Big fish", contact_ids=[bob.id or 0], now=NOW)
    if way in ("index", "many"):
        await indexed(db)
        assert await waiting(db) == 0
    if way in ("many", "rows"):
        monkeypatch.setattr(find, "FEW", 0)
    if way == "rows":
        monkeypatch.setattr(find, "MANY", 0)
        async with db.read(scope) as tx:
            for text, expected in CASES.items():
                page = await contacts.search(tx, scope, text=text, page=PageRequest())
                assert sorted(each.email.partition("@")[0] for each in page.items) == expected, text
        return
    for text, expected in CASES.items():
        assert await found(db, scope, text) == expected, text
    assert await found(db, scope, "Ber", attribute="city") == ["anna.schmidt", "bob"]
    assert await found(db, scope, "Be", attribute="city") == ["anna.schmidt", "bob"]
    assert await found(db, scope, "erl", attribute="city") == []
    assert await found(db, scope, 'Sankt "', attribute="city") == ["aase"]


async def test_hostile_texts_are_texts(importing: Importing, db: Database, scope: Scope) -> None:
    await importing(PEOPLE)
    before = [await found(db, scope, text) for text in HOSTILE]
    await indexed(db)
    assert [await found(db, scope, text) for text in HOSTILE] == before
    for text in ("", "  ", "a\x00b", "x" * 321, "\udcff"):
        with pytest.raises(InvalidInput):
            await found(db, scope, text)


async def test_the_index_follows_every_change(importing: Importing, db: Database, scope: Scope) -> None:
    await importing(PEOPLE)
    await indexed(db)
    async with db.write(scope) as tx:
        anna = await contacts.get_contact(tx, scope, address="anna.schmidt@example.org")
        anna.last_name = "Quagga"
        await contacts.soft_delete(tx, scope, address="bob@mail.example.com", now=NOW)
    await importing("email,last name\nzoe@example.net,Zebra\nnew@example.net,Zebra\n", on_duplicate="update")
    for _ in range(2):
        assert await found(db, scope, "quag") == ["anna.schmidt"]
        assert await found(db, scope, "anna schm") == []
        assert await found(db, scope, "zebra") == ["new", "zoe"]
        assert await found(db, scope, "bob@") == []
        await indexed(db)
        assert await waiting(db) == 0
    async with db.write(scope) as tx:
        anna = await contacts.get_contact(tx, scope, address="anna.schmidt@example.org")
        anna.state = ContactState.UNSUBSCRIBED
        await contacts.restore(tx, scope, address="bob@mail.example.com", now=NOW)
    assert await waiting(db) == 0  # nothing of it is searched
    assert await found(db, scope, "bob@") == ["bob"]


async def test_tenants_do_not_find_each_others(
    importing: Importing, db: Database, scope: Scope, other: Scope
) -> None:
    await importing(PEOPLE)
    for _ in range(2):
        for text in ("schmidt", "an", "a", "example"):
            assert await found(db, other, text) == []
        assert await found(db, other, "Ber", attribute="city") == []
        await indexed(db)
    await importing("email\nanna.schmidt@example.org\n", scope=other)
    await indexed(db)
    assert await found(db, other, "schmidt") == ["anna.schmidt"]


@pytest.mark.parametrize("order", list(Order))
async def test_pages_of_many_are_the_pages_of_few(
    importing: Importing,
    stored: Stored,
    db: Database,
    scope: Scope,
    monkeypatch: pytest.MonkeyPatch,
    order: Order,
) -> None:
    """Forwards and back again, while few and too many are found, with some of them in the queue."""
    rows = [f"p{number * 37 % 101:03}@{'abc'[number % 3]}.example" for number in range(60)]
    await importing("email\n" + "\n".join(rows[:45]) + "\n")
    await indexed(db)
    await importing("email\n" + "\n".join(rows[45:]) + "\n")
    number_of = {address: row.id for address, row in (await stored(scope)).items()}
    expected = [each for each in rows if "b.example" in each]
    expected.sort(key=None if order in (Order.ADDRESS, Order.ADDRESS_DOWN) else number_of.__getitem__)
    if order.value.startswith("-"):
        expected.reverse()
    for few, many in ((2000, 2000), (7, 2000), (7, 7), (1, 1)):
        monkeypatch.setattr(find, "FEW", few)
        monkeypatch.setattr(find, "MANY", many)
        seen, cursor, back = [], None, None
        async with db.read(scope) as tx:
            while True:
                page = await browse(
                    tx, scope, Filter(text="b.exam"), page=PageRequest(6, cursor), order=order
                )
                seen.append([each.email for each in page.items])
                assert page.exact is (few == 2000)
                assert page.total == len(expected) if page.exact else page.total <= len(expected)
                back, cursor = page.previous, page.next
                if cursor is None:
                    break
            assert list(chain.from_iterable(seen)) == expected
            assert back is not None
            page = await browse(tx, scope, Filter(text="b.exam"), page=PageRequest(6, back), order=order)
            assert [each.email for each in page.items] == seen[-2]


async def test_filters_go_with_a_text(importing: Importing, db: Database, scope: Scope) -> None:
    await importing(PEOPLE)
    await indexed(db)
    async with db.write(scope) as tx:
        await contacts.soft_delete(tx, scope, address="aase@example.org", now=NOW)
    async with db.read(scope) as tx:
        for chosen, names in (
            (Filter(text="example.org", deleted=True), ["aase"]),
            (Filter(text="example.org", state=ContactState.BOUNCED), []),
            (Filter(text="example.org", state=ContactState.SUBSCRIBED), ["anna.schmidt", "per_cent"]),
        ):
            page = await browse(tx, scope, chosen, page=PageRequest(), order=Order.ADDRESS)
            assert [each.email.partition("@")[0] for each in page.items] == names


async def test_nothing_of_the_erased_is_left_in_the_index(
    importing: Importing, db: Database, scope: Scope
) -> None:
    await importing(PEOPLE + "quagga@zzyzx.example,Quagga,Xylophon,Quito\n")
    await indexed(db)
    assert "qua" in await everything(db) or db.postgres
    async with db.write(scope) as tx:
        contact = await contacts.get_contact(tx, scope, address="quagga@zzyzx.example")
        contact_id = contact.id
        await erase(tx, scope, address="quagga@zzyzx.example", hash_key=KEYRING.derive("x"), now=NOW)
    assert await found(db, scope, "quagga") == []
    async with db.read(INSTANCE) as tx:
        assert (
            await tx.scalar(sa.text(f"SELECT count(*) FROM contact_search WHERE {_id(db)} = {contact_id}"))
            == 0
        )
    assert await index_some(db, INSTANCE) == 0
    assert await purge(db, INSTANCE, merge_pages=1) == 1
    assert await purge(db, INSTANCE) == 0
    assert await waiting(db) == 0
    left = await everything(db)
    assert not {"qua", "uag", "agg", "zzy", "xyl", "qui"} & left
    assert db.postgres or "sch" in left
    assert await found(db, scope, "schmidt") == ["anna.schmidt"]


async def test_contacts_that_are_removed_leave_the_index(
    importing: Importing, db: Database, scope: Scope
) -> None:
    await importing(PEOPLE)
    await indexed(db)
    async with db.write(scope) as tx:
        await tx.execute(sa.text("DELETE FROM list_members"))
        await tx.execute(sa.delete(Contact).where(col(Contact.tenant_id) == scope.tenant_id))
    await purge(db, INSTANCE)
    assert await waiting(db) == 0
    assert await everything(db) == set()
    async with db.read(INSTANCE) as tx:
        assert await tx.scalar(sa.text("SELECT count(*) FROM contact_search")) == 0


async def test_a_page_of_the_queue_costs_the_same_however_long_it_is(
    importing: Importing, db: Database, scope: Scope
) -> None:
    if not db.postgres:
        pytest.skip("SQLite looks up each contact by its number")
    await importing("email\n" + "".join(f"p{number}@example.org\n" for number in range(2_500)))
    with asked(db, "FROM search_queue", "LIMIT") as said:
        await indexed(db)
        await purge(db, INSTANCE)
    assert len(said) == 4  # two pages, the end, and who was erased
    for statement, values in said:
        lines = await plan_of(db, statement, values)
        assert not any("Join" in line or "Nested Loop" in line for line in lines), lines
        assert not any("Seq Scan on contacts" in line for line in lines), lines


def _id(db: Database) -> str:
    return "contact_id" if db.postgres else "rowid"


async def everything(db: Database) -> set[str]:
    """The terms in all pages of the index on SQLite, deleted ones too until they are merged away; the numbers on
    PostgreSQL are of rows that are there."""
    async with db.write(INSTANCE) as tx:
        if db.postgres:
            numbers = await tx.scalars(sa.text("SELECT unnest(grams) FROM contact_search"))
            return {str(number) for number in numbers}
        await tx.execute(
            sa.text("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, contact_search, instance)")
        )
        terms = set(await tx.scalars(sa.text("SELECT term FROM temp.terms")))
        await tx.execute(sa.text("DROP TABLE temp.terms"))
        raw = await tx.scalars(sa.text("SELECT block FROM contact_search_data"))
        for block in raw:
            terms |= {block[at : at + 3].decode("latin-1") for at in range(len(block) - 2)}
    return {term for term in terms if term.isascii() and term.isalnum()}


@pytest.mark.parametrize("few", [2000, 2])
async def test_pages_of_a_list_and_of_a_tag(
    importing: Importing, db: Database, scope: Scope, other: Scope, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    for module in (find, linked):
        monkeypatch.setattr(module, "FEW", few)
    await importing(PEOPLE)
    await importing("email,tags\nnew@example.org,x\nbob@mail.example.com,x\n", list_name="Others")
    await importing("email,tags\nnew@example.org,x\n", list_name="Others", scope=other)
    async with db.read(scope) as tx:
        others = await lists.get_list(tx, scope, name="Others")
        x = await tags.get_tag(tx, scope, name="x")
        for chosen in (
            Filter(list_id=others.id),
            Filter(tag_id=x.id),
            Filter(list_id=others.id, tag_id=x.id),
        ):
            for order in Order:
                page = await browse(tx, scope, chosen, page=PageRequest(), order=order)
                assert {each.email for each in page.items} == {"new@example.org", "bob@mail.example.com"}
                assert page.total == 2
        page = await browse(tx, scope, Filter(text="bob", list_id=others.id), page=PageRequest())
        assert [each.email for each in page.items] == ["bob@mail.example.com"]
        everybody = await lists.get_list(tx, scope, name="Customers")
        listed = await contacts.list_contacts(
            tx, scope, page=PageRequest(3), list_id=ListId(everybody.id or 0)
        )
        assert len(listed.items) == 3
        assert listed.total == min(few, 5)
        rest = await contacts.list_contacts(
            tx, scope, page=PageRequest(3, listed.next), list_id=ListId(everybody.id or 0)
        )
        assert len(rest.items) == 2
