"""The contacts' side in a real Chromium: a file from the drop to the undo, and every page with nothing in it, with
one row and with 100,000. One installation, one server and one browser for all of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, expect
from sqlmodel import SQLModel

from mailengine.core.clock import SystemClock
from mailengine.core.config import DatabaseSettings, load_settings
from mailengine.core.ids import JobId, TenantId
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.daemon.job_runs import JobRuns
from mailengine.db.tenancy import table_of
from mailengine.db.unit import Database, WriteTx
from mailengine.domain.accounts.setup import create_owned_tenant
from mailengine.domain.accounts.tenants import check_tenant
from mailengine.domain.contacts import contacts, lists, tags
from mailengine.domain.contacts.imports.request import ImportRequest
from mailengine.domain.contacts.imports.upload_jobs import queue_upload
from mailengine.domain.contacts.search import index
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.jobs import jobs
from mailengine.models import (
    Campaign,
    CampaignState,
    Contact,
    ContactTag,
    ListMember,
    Suppression,
    SuppressionKind,
    Template,
    TemplateVersion,
    Tenant,
)
from mailengine.runtime import Runtime
from peers.template import copy_sqlite
from support.chromium import accessible, choose_by_keyboard, chromium, listen, log_in, reach, resize, sound
from support.house import INSTANCE
from support.integrity import assert_integrity
from support.served import listener, serving

pytestmark = [pytest.mark.anyio, pytest.mark.peer("chromium")]
MANY = 100_000
HEAD = "E-Mail;Vorname;Stadt;Tags\n"


@dataclass(frozen=True, slots=True)
class Stage:
    """The app on a real port, with a daemon that does its jobs."""

    url: str
    rt: Runtime
    browser: Browser

    async def page(self, email: str) -> tuple[Page, list[str]]:
        """Somebody's browser, logged in, and what it complains of."""
        context = await self.browser.new_context()
        page = await context.new_page()
        said = listen(page, self.url)
        await log_in(page, self.url, email)
        return page, said


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    found = copy_sqlite(tmp_path_factory.mktemp("pages") / "test.sqlite3")
    yield found
    assert_integrity(found)


@pytest.fixture(scope="module")
async def stage(
    dsn: str, tmp_path_factory: pytest.TempPathFactory, password_hash: str
) -> AsyncIterator[Stage]:
    bound, stopping = listener(), asyncio.Event()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    settings = load_settings(
        data_dir=tmp_path_factory.mktemp("data"), database={"url": dsn}, web={"base_url": url}
    )
    rt = Runtime(settings, Database(dsn, DatabaseSettings()), SystemClock(), Keyring(bytes(range(32))))
    for slug, people in (("none", 0), ("one", 1), ("many", MANY)):
        await add_tenant(rt, slug, people, password_hash)
    while await index.index_some(rt.db, INSTANCE):
        pass
    work = asyncio.create_task(JobRuns(rt).run(stopping, always))
    async with serving(rt, bound, stopping), chromium() as browser:
        yield Stage(url, rt, browser)
        stopping.set()
        await work
    await rt.db.close()


async def always() -> bool:
    """This daemon is the only one."""
    return True


async def add_tenant(rt: Runtime, slug: str, people: int, password_hash: str) -> None:
    """An organisation with so many contacts, all on its list, half of them with a tag."""
    now = rt.clock.now()
    async with rt.db.write(INSTANCE) as tx:
        row = await create_owned_tenant(
            tx,
            INSTANCE,
            details=check_tenant(name=f"{slug} Ltd", country="DE", postal_address="1 Road", slug=slug),
            email=f"owner@{slug}.test",
            password_hash=password_hash,
            now=now,
        )
        row.onboarded_at = now
        scope = Scope(TenantId(row.id or 0), actor="test")
        if not people:
            return
        listed = await lists.create_list(tx, scope, name=f"{slug} list", now=now)
        tag_id = (await tags.ids_of(tx, scope, ["vip"], now=now))["vip"]
        known = contacts.check_contact(f"first@{slug}.test", first_name="Ann", consent_source="fair")
        hash_key = rt.keyring.derive_for_ever(HASH_PURPOSE)
        await contacts.add(tx, scope, known, now=now, hash_key=hash_key)
        await add_alike(tx, scope, people - 1)
        contact = table_of(Contact).c
        mine = sa.select(contact.id, contact.tenant_id).where(contact.tenant_id == scope.tenant_id).subquery()
        members = sa.select(
            sa.literal(listed.id), mine.c.id, mine.c.tenant_id, sa.literal(now, contact.created_at.type)
        )
        columns = ["list_id", "contact_id", "tenant_id", "joined_at"]
        await tx.execute(sa.insert(table_of(ListMember)).from_select(columns, members))
        carriers = sa.select(sa.literal(tag_id), mine.c.id, mine.c.tenant_id).where(mine.c.id % 2 == 0)
        await tx.execute(
            sa.insert(table_of(ContactTag)).from_select(["tag_id", "contact_id", "tenant_id"], carriers)
        )
        await add_others(tx, scope, now)


async def add_alike(tx: WriteTx, scope: Scope, count: int) -> None:
    """So many contacts more, of whom no more than the address is known: made within the database, in a second."""
    contact = table_of(Contact).c
    number = sa.select(sa.literal(1).label("n")).cte("number", recursive=True)
    number = number.union_all(sa.select(number.c.n + 1).where(number.c.n < count))
    email = sa.literal("p") + sa.cast(number.c.n, sa.Text) + sa.func.replace(contact.email, "first", "")
    known = {
        "email": email,
        "email_key": email,
        "first_name": sa.literal(""),
        "consent_source": sa.literal(""),
    }
    values = {c.name: known.get(c.name, c) for c in contact if c.name not in ("id", "consent_at")}
    first = contact.tenant_id == scope.tenant_id
    rows = sa.select(*values.values()).select_from(sa.join(table_of(Contact), number, sa.true())).where(first)
    await tx.execute(sa.insert(table_of(Contact)).from_select(list(values), rows.where(number.c.n <= count)))


async def add_others(tx: WriteTx, scope: Scope, now: datetime) -> None:
    """As many of what else may become many: suppressed addresses, templates, drafts."""
    contact, template = table_of(Contact).c, table_of(Template).c
    at = sa.literal(now, contact.created_at.type)

    async def add(model: type[SQLModel], each_of: sa.FromClause, **values: Any) -> None:
        rows = sa.select(*values.values(), each_of.c.tenant_id, at).where(
            each_of.c.tenant_id == scope.tenant_id
        )
        columns = [*values, "tenant_id", "created_at"]
        await tx.execute(sa.insert(table_of(model)).from_select(columns, rows))

    await add(
        Suppression,
        table_of(Contact),
        kind=sa.literal(SuppressionKind.ADDRESS),
        value=sa.literal("no-") + contact.email_key,
        reason=sa.literal("import"),
        source=sa.literal(""),
    )
    nothing, number = sa.literal(""), sa.cast(contact.id, sa.Text)
    named = {"name": sa.literal("Letter ") + number, "category": nothing, "version": sa.literal(1)}
    await add(Template, table_of(Contact), **named, updated_at=at)
    html, nobody = sa.literal("<p>Hello</p>"), {"text_is_own": sa.false(), "created_by": nothing}
    first = {
        "template_id": template.id,
        "version": sa.literal(1),
        "source": html,
        "html": html,
        "text": nothing,
    }
    await add(TemplateVersion, table_of(Template), **first, **nobody)
    none, yes = sa.literal([], sa.JSON), sa.true()
    await add(
        Campaign,
        table_of(Template),
        name=sa.literal("Draft ") + sa.cast(template.id, sa.Text),
        state=sa.literal(CampaignState.DRAFT),
        template_id=template.id,
        subject=sa.literal("News"),
        from_name=nothing,
        from_email=sa.literal("news@example.org"),
        reply_to=nothing,
        list_ids=none,
        segment_ids=none,
        excluded_list_ids=none,
        excluded_segment_ids=none,
        audience_rules=sa.literal({}, sa.JSON),
        track_opens=yes,
        track_clicks=yes,
        schedule_zone=sa.literal("UTC"),
        schedule_faults=none,
        expand_cursor=sa.literal(0),
        updated_at=at,
    )


def write(folder: Path, people: int) -> Path:
    path = folder / "people at the fair.csv"
    rows = "".join(f"f{n}@fair.test;Änn {n};Köln;fair\n" for n in range(people))
    path.write_text(HEAD + rows + "nobody;;;\n", encoding="cp1252")
    return path


async def test_a_file_from_the_drop_to_the_undo(stage: Stage, tmp_path: Path):
    page, said = await stage.page("owner@none.test")
    await page.goto(f"{stage.url}/")
    await page.get_by_role("link", name="Imports", exact=True).click()
    await expect(page.get_by_text("Nothing imported yet")).to_be_visible()
    await page.set_input_files("input[type=file]", write(tmp_path, 2500))
    await expect(page.get_by_role("heading", level=1)).to_have_text("people at the fair.csv")
    await expect(page.get_by_text("Windows-1252 ·")).to_be_visible()
    await accessible(page)
    await expect(page.get_by_label("Vorname becomes")).to_have_value("first_name")
    await expect(page.get_by_label("Name of the attribute for Stadt")).to_have_value("stadt")
    await page.get_by_label("Stadt becomes").select_option("ignore")
    await expect(page.get_by_label("Name of the attribute for Stadt")).to_be_hidden()
    await page.evaluate("window.stillHere = true")
    await page.get_by_label("Into the list").fill("Fair")
    await page.get_by_label("E-Mail becomes").select_option("last_name")
    await page.get_by_role("button", name="Try it first").click()
    await expect(page.get_by_text("Say which column holds the e-mail addresses.")).to_be_visible()
    await expect(page.get_by_label("Into the list")).to_have_value("Fair")
    await page.get_by_label("E-Mail becomes").select_option("email")
    await page.get_by_role("button", name="Try it first").click()
    await expect(page.get_by_label("What would happen")).to_contain_text("2,500")
    await page.get_by_role("button", name="Start the import").click()
    await expect(page.get_by_role("link", name="See the contacts")).to_be_visible()  # nobody loads it anew
    await expect(page.get_by_text("2,501 of 2,501 rows")).to_be_visible()
    assert await page.evaluate("window.stillHere") is True, "a page was loaded again"
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Rejected rows").click()
    assert "nobody" in Path(await (await download.value).path()).read_text()
    await page.get_by_role("button", name="Take it back").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("2,500 contacts that it made are deleted")
    await dialog.get_by_role("button", name="Take it back").click()
    back = page.get_by_label("Taking it back")
    await expect(back).to_contain_text("2,500 deleted")
    await page.get_by_role("link", name="Contacts", exact=True).click()
    await expect(page.get_by_text("No contacts yet")).to_be_visible()
    assert [words for words in said if "422" not in words] == []  # the mistake that was made on purpose
    await page.context.close()


async def test_all_that_match_are_tagged_exported_and_found_again(stage: Stage):
    page, said = await stage.page("owner@many.test")
    await page.goto(f"{stage.url}/contacts")
    await expect(page.get_by_text("100,000 contacts")).to_be_visible()
    await page.get_by_role("searchbox").press_sequentially("p9999")
    await expect(page.locator("#list").get_by_text("11 contacts")).to_be_visible()
    await page.get_by_label("Tag", exact=True).first.select_option(label="vip")
    await expect(page.locator("#list").get_by_text(re.compile(r"^\d contacts"))).to_be_visible()
    await page.get_by_label("Tag", exact=True).first.select_option(label="Any tag")
    await page.get_by_role("searchbox").fill("")
    await expect(page.locator("#list").get_by_text("100,000 contacts")).to_be_visible()
    await page.get_by_label("Select all rows of this page").check()
    bar = page.get_by_label("Selected rows")
    await expect(bar).to_contain_text("50 selected")
    await bar.get_by_label("All 100,000").check()
    await expect(bar).to_contain_text("100,000 selected")
    await accessible(page)
    await resize(page, (375, 700))
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    await accessible(page)
    await resize(page, (1280, 800))
    await bar.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Delete 100,000 of your contacts?")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    await page.get_by_label("Select p99999@many.test").uncheck()
    await expect(bar).to_contain_text("49 selected")
    await bar.get_by_label("Tag").fill("chosen")
    await bar.get_by_role("button", name="Tag", exact=True).click()
    await expect(page.locator(".toast")).to_contain_text("49 contacts tagged with chosen")
    await page.get_by_role("searchbox").fill("p9999")
    await expect(page.locator("#list").get_by_text("11 contacts")).to_be_visible()
    await page.get_by_role("button", name="Export").first.click()
    await accessible(page)
    await page.get_by_role("dialog").get_by_role("button", name="Export").click()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    rows = Path(await (await download.value).path()).read_text().splitlines()
    assert len(rows) == 12
    await page.goto(f"{stage.url}/tags")
    await expect(page.get_by_role("row", name="chosen")).to_contain_text("49")
    assert said == []
    await page.context.close()


PAGES = {
    "none": (
        "/contacts",
        "/contacts?deleted=1",
        "/imports",
        "/tags",
        "/jobs",
        "/campaigns",
        "/templates",
        "/lists",
        "/segments",
        "/forms",
        "/suppression",
        "/attributes",
        "/relays",
        "/domains",
    ),
    "one": (
        "/contacts",
        "/contacts/{contact}",
        "/contacts/{contact}/erase",
        "/tags",
        "/tags/{tag}",
        "/attributes",
        "/audit",
    ),
    "many": ("/contacts", "/tags", "/campaigns", "/templates", "/suppression", "/audit"),
}


@pytest.mark.parametrize("slug", PAGES)
async def test_each_page_with_nothing_one_and_many(stage: Stage, slug: str):
    page, said = await stage.page(f"owner@{slug}.test")
    ids: dict[str, Any] = {}
    if slug == "one":
        async with stage.rt.db.read(INSTANCE) as tx:
            found = sa.select(Contact).where(Contact.email_key == f"first@{slug}.test")  # type: ignore[arg-type]
            contact = await tx.scalar(found)
            assert contact is not None
            scope = Scope(TenantId(contact.tenant_id), actor="test")
            ids = {"contact": contact.id, "tag": (await tags.get_tag(tx, scope, name="vip")).id}
    for number, path in enumerate(PAGES[slug]):
        # The other theme of the rest is looked at with one row, here or in test_browser.
        both = slug == "one" or path == "/imports"
        await sound(page, stage.url + path.format(**ids), dark=bool(number % 2), both=both)
    assert said == []
    await page.context.close()


async def cancelled(rt: Runtime, slug: str, path: Path) -> int:
    """An import of this organisation's that was cancelled before it began."""
    now = rt.clock.now()
    async with rt.db.write(INSTANCE) as tx:
        tenant_id = await tx.scalar(sa.select(table_of(Tenant).c.id).where(table_of(Tenant).c.slug == slug))
        scope = Scope(TenantId(tenant_id or 0), actor="test")
        wanted = ImportRequest(path, list_name="Late")
        job = await queue_upload(tx, scope, wanted, name="late.csv", now=now)
        await jobs.cancel(tx, scope, job_id=JobId(job.id or 0), now=now)
        return job.id or 0


async def test_a_file_is_imported_by_the_keyboard_alone(stage: Stage, tmp_path: Path):
    page, said = await stage.page("owner@one.test")
    await page.goto(f"{stage.url}/imports")
    await reach(page, "Drop a file here, or choose one")
    await choose_by_keyboard(page, write(tmp_path, 3))
    await expect(page.get_by_role("heading", level=1)).to_have_text("people at the fair.csv")
    await reach(page, "Start the import")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="See the contacts")).to_be_visible()
    late = await cancelled(stage.rt, "one", write(tmp_path, 2))
    await page.goto(f"{stage.url}/imports/{late}")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("The import goes on where it stopped")).to_be_visible()
    await expect(page.get_by_role("link", name="See the contacts")).to_be_visible()
    assert said == []
    await page.context.close()
