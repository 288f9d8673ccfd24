"""Templates and shared blocks in the database: versions, names, and nobody else's."""

import pytest

from mailengine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from mailengine.core.paging import PageRequest
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database
from mailengine.domain.accounts.tenants import get_tenant
from mailengine.domain.content import blocks, templates
from mailengine.domain.content.preview import literal, preview
from mailengine.domain.content.snapshots import Sources
from mailengine.domain.content.values import Person
from support.house import NOW

pytestmark = pytest.mark.anyio

ANN = Person("ann@example.net", "Ann <b>", "Müller", {"city": "Köln"})


async def add(db: Database, scope: Scope, name: str, html: str = "<p>Hi</p>", category: str = "") -> int:
    prepared = await templates.prepare(html, known=())
    async with db.write(scope) as tx:
        added = await templates.add(tx, scope, name=name, category=category, prepared=prepared, now=NOW)
    return added.id or 0


async def test_every_save_is_a_version(db: Database, scope: Scope) -> None:
    template_id = await add(db, scope, "  News \n letter ", '<p onclick="x">One</p>')
    two = await templates.prepare("<p>Two</p>", own_text="My two", known=())
    async with db.write(scope) as tx:
        changed = await templates.update(tx, scope, template_id=template_id, prepared=two, now=NOW)
        assert (changed.name, changed.version) == ("News letter", 2)
        version = await templates.newest(tx, scope, template_id=template_id)
    assert (version.version, version.text, version.text_is_own) == (2, "My two", True)
    async with db.write(scope) as tx:  # a new name alone is no new version
        renamed = await templates.update(tx, scope, template_id=template_id, name="Other", now=NOW)
    assert renamed.version == 2


async def test_a_name_is_taken_until_it_is_deleted(db: Database, scope: Scope) -> None:
    template_id = await add(db, scope, "News")
    with pytest.raises(Conflict, match="already a template called News"):
        await add(db, scope, "News")
    async with db.write(scope) as tx:
        await templates.delete(tx, scope, template_id=template_id, now=NOW)
    assert await add(db, scope, "News") != template_id


@pytest.mark.parametrize("name", ["", " ", "x" * 201])
async def test_a_name_must_be_one(db: Database, scope: Scope, name: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 200"):
        await add(db, scope, name)


async def test_pages_and_categories(db: Database, scope: Scope) -> None:
    for number in range(3):
        await add(db, scope, f"T{number}", category="even" if number % 2 == 0 else "odd")
    async with db.read(scope) as tx:
        page = await templates.list_templates(tx, scope, category="even", request=PageRequest(1))
        rest = await templates.list_templates(tx, scope, category="even", request=PageRequest(1, page.next))
    assert [item.name for item in (*page.items, *rest.items)] == ["T0", "T2"]
    assert (page.total, rest.next) == (2, None)


async def test_another_tenant_finds_nothing(db: Database, scope: Scope, other: Scope) -> None:
    template_id = await add(db, scope, "News")
    async with db.write(scope) as tx:
        await blocks.save(tx, scope, name="foot", html="<p>x</p>", now=NOW)
    async with db.write(other) as tx:
        assert (await templates.list_templates(tx, other)).total == 0
        assert await blocks.all_blocks(tx, other) == {}
        for attempt in (
            templates.get(tx, other, template_id=template_id),
            templates.get_template(tx, other, name="News"),
            templates.newest(tx, other, template_id=template_id),
            templates.update(tx, other, template_id=template_id, name="Mine", now=NOW),
            templates.duplicate(tx, other, template_id=template_id, name="Mine", now=NOW),
            templates.delete(tx, other, template_id=template_id, now=NOW),
            templates.sources_of(tx, other, template_id=template_id, subject=""),
            blocks.remove(tx, other, name="foot", now=NOW),
        ):
            with pytest.raises(NotFound):
                await attempt
    await add(db, other, "News")  # the same name is theirs to use


async def test_a_viewer_changes_nothing(db: Database, scope: Scope) -> None:
    template_id = await add(db, scope, "News")
    viewer = Scope(scope.tenant_id, "user:9", frozenset({Grant.READ}))
    prepared = await templates.prepare("<p>x</p>", known=())
    async with db.write(viewer) as tx:
        for attempt in (
            templates.add(tx, viewer, name="X", prepared=prepared, now=NOW),
            templates.update(tx, viewer, template_id=template_id, name="X", now=NOW),
            templates.delete(tx, viewer, template_id=template_id, now=NOW),
            blocks.save(tx, viewer, name="x", html="", now=NOW),
            blocks.remove(tx, viewer, name="x", now=NOW),
        ):
            with pytest.raises(Forbidden):
                await attempt


async def test_shared_blocks_are_filled_in_and_the_text_follows(db: Database, scope: Scope) -> None:
    template_id = await add(db, scope, "News", '<p>Hi</p>{% include "foot" %}')
    async with db.write(scope) as tx:
        await blocks.save(tx, scope, name="foot", html="<p>First</p>", now=NOW)
        await blocks.save(tx, scope, name="foot", html="<p>Second</p>", now=NOW)
        sources = await templates.sources_of(tx, scope, template_id=template_id, subject="S")
    assert "Second" in sources.html
    assert "Second" in sources.text
    for name in ("", "x" * 101, 'a"b', "a}b", "a\nb"):
        with pytest.raises(InvalidInput):
            async with db.write(scope) as tx:
                await blocks.save(tx, scope, name=name, html="", now=NOW)


async def test_a_preview_escapes_and_tracks_nothing(db: Database, scope: Scope) -> None:
    async with db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
    sources = Sources(
        subject="{Hi|Hi} {{ first_name }}",
        html='<p>{{ first_name }}, {{ city|upper }}</p><a href="https://acme.de/x">x</a>',
        text="{{ first_name }} {{ unsubscribe_url }}",
    )
    seen = await preview(sources, ANN, tenant, base_url="https://mail.acme.de")
    assert seen.subject == "Hi Ann <b>"
    assert seen.html == '<p>Ann &lt;b&gt;, KÖLN</p><a href="https://acme.de/x">x</a>'
    assert seen.text == "Ann <b> https://mail.acme.de/u/preview"


@pytest.mark.parametrize("name", ["plain", "{{ first_name }}", "{% if %}", "{a|b}", "}} {#"])
async def test_a_name_as_subject_stays_as_it_is(db: Database, scope: Scope, name: str) -> None:
    async with db.read(scope) as tx:
        tenant = await get_tenant(tx, scope)
    seen = await preview(Sources(literal(name), "<p>x</p>", "x"), ANN, tenant, base_url="")
    assert seen.subject == name
