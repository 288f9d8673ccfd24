"""Contacts in the dashboard: search, one of them, and what keys do to them; a file is imported."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from textual.widgets import Input

from mailengine.db.tenancy import owned, table_of
from mailengine.domain.contacts import suppression, tags
from mailengine.models import Contact, Job
from mailengine.tui.screens.importing import ImportScreen
from support.dashboard import dashboard
from support.world import World

pytestmark = pytest.mark.anyio


async def contact(world: World, email: str) -> Contact:
    async with world.db.read(world.scope) as tx:
        found = await tx.scalar(owned(Contact, world.scope).where(table_of(Contact).c.email == email))
    assert found is not None
    return found


async def tags_on(world: World, email: str) -> list[str]:
    found = await contact(world, email)
    async with world.db.read(world.scope) as tx:
        return (await tags.tags_of(tx, world.scope, [found.id or 0])).get(found.id or 0, [])


async def suppressed(world: World, email: str) -> bool:
    async with world.db.read(world.scope) as tx:
        return bool(await suppression.suppressed(tx, world.scope, [email]))


async def test_search_tag_and_suppress_from_the_list(world: World) -> None:
    await world.addresses(["ann@example.org", "bob@example.org", "cleo@example.net"])
    async with dashboard(world) as driver:
        await driver.press("3")
        await driver.sees("cleo@example.net", "bob@example.org", "ann@example.org", "Ann Müller 2")
        await driver.press("slash")
        await driver.type("bob")
        await driver.loses("cleo@example.net")
        await driver.press("enter", "t")
        await driver.sees("Which tag does bob@example.org get?")
        await driver.type("vip [red]")
        await driver.press("enter")
        await driver.sees("tagged with vip [red]")
        assert await tags_on(world, "bob@example.org") == ["vip [red]"]
        await driver.press("s")
        await driver.sees("Never mail bob@example.org again")
        await driver.press("enter")
        await driver.loses("Never mail")
        assert not await suppressed(world, "bob@example.org")
        await driver.press("s")
        await driver.sees("Never mail bob@example.org again")
        await driver.press("y")
        await driver.sees("bob@example.org is suppressed")
        assert await suppressed(world, "bob@example.org")


async def test_one_contact_with_its_history_and_keys(either_world: World) -> None:
    world = either_world
    await world.addresses(["ann@example.org"])
    async with dashboard(world, size=(110, 34)) as driver:
        await driver.press("3")
        await driver.sees("ann@example.org")
        await driver.press("enter")
        await driver.sees("Customers (subscribed)", "joined", "added", "Unsubscribe")
        await driver.press("t")
        await driver.sees("Which tag?")
        await driver.type("vip")
        await driver.press("enter")
        await driver.sees("tags", "tagged with vip", "Untag")
        await driver.press("u")
        await driver.sees("Which tag is taken off?")
        await driver.press("enter")
        await driver.sees("the tag vip is taken off")
        assert await tags_on(world, "ann@example.org") == []
        await driver.press("s")
        await driver.sees("Never mail ann@example.org again")
        await driver.press("y")
        await driver.sees("Mail again")
        assert await suppressed(world, "ann@example.org")
        await driver.press("s")
        await driver.sees("Only with their consent")
        await driver.press("y")
        await driver.sees("ann@example.org may be mailed again")
        assert not await suppressed(world, "ann@example.org")
        await driver.sees("Unsubscribe")
        await driver.press("x")
        await driver.sees("Send ann@example.org no more campaigns?")
        await driver.press("y")
        await driver.sees("gets no more campaigns", "unsubscribed")
        assert (await contact(world, "ann@example.org")).state == "unsubscribed"
        await driver.press("escape")
        await driver.sees("search by address")


async def test_what_is_gone_closes_its_screen(world: World) -> None:
    await world.addresses(["ann@example.org"])
    async with dashboard(world) as driver:
        await driver.press("3")
        await driver.sees("ann@example.org")
        await driver.press("enter")
        await driver.sees("Customers (subscribed)")
        async with world.db.write(world.scope) as tx:
            contacts = table_of(Contact)
            await tx.execute(
                sa.update(contacts)
                .where(contacts.c.tenant_id == world.scope.tenant_id)
                .values(deleted_at=world.clock.now())
            )
        await driver.press("m")  # a key that does nothing here
        driver.app.screen.look_again()  # type: ignore[attr-defined]  # not wait five seconds
        await driver.sees("there is no contact", "search by address")


async def test_a_file_is_picked_seen_and_imported(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "people.csv").write_text(
        "E-mail,First name\nann@example.org,Ann\nbroken\nbob@example.org,Bob\n"
    )
    (folder / "notes.pdf").write_text("no")
    async with dashboard(world) as driver:
        await driver.press("3")
        await driver.sees("no contact yet; i imports a file")
        driver.app.push_screen(ImportScreen(driver.app.source, folder))
        await driver.sees("people.csv")
        assert "notes.pdf" not in driver.screen
        await driver.press("down", "enter")
        await driver.sees("becomes", "first_name", "about 3 rows")
        await driver.type("Customers")
        await driver.press("enter")
        await driver.sees("done: 3 rows, 2 new", "1 rejected", "errors.csv")
        await driver.press("escape")
        await driver.sees("ann@example.org", "bob@example.org")
        await driver.press("5")
        await driver.sees("people.csv into Customers", "done")


async def test_an_import_is_cancelled_only_when_asked_twice(world: World, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("email\n" + "".join(f"u{number}@example.org\n" for number in range(600_000)))
    async with dashboard(world) as driver:
        await driver.press("3", "i")
        await driver.sees("list that they join")
        screen = driver.app.screen
        screen.query_one("#path", Input).value = str(path)
        await driver.press("ctrl+s")
        await driver.sees("give the file and the list")
        screen.query_one("#list", Input).value = "Many"
        await driver.press("ctrl+s", "escape")
        await driver.sees("Cancel the import?")
        await driver.press("y")
        await driver.sees("cancelled:", "jobs resume")
    async with world.db.read(world.scope) as tx:
        (job,) = await tx.scalars(owned(Job, world.scope))
    assert job.state == "cancelled"


async def test_a_file_that_cannot_be_read_is_said(world: World, tmp_path: Path) -> None:
    async with dashboard(world) as driver:
        await driver.press("3", "i")
        await driver.sees("list that they join")
        screen = driver.app.screen
        for path, words in ((tmp_path / "none.csv", "none.csv"), (tmp_path, str(tmp_path.name))):
            screen.query_one("#path", Input).value = str(path)
            screen.query_one("#list", Input).value = "Many"
            await driver.press("ctrl+s")
            await driver.sees(words)
            assert driver.app.screen is screen
