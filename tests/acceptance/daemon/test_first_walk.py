"""A person's first hour, in a real browser against a real daemon and a real SMTP server: the printed link, the first
steps, contacts from a file, a template, a campaign, its report; and a password that was forgotten."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

from peers.catcher import Catcher
from peers.ports import wait_until
from support.browsing import PASSWORD
from support.chromium import FLAGS, STILL
from support.daemon import House

pytestmark = pytest.mark.peer("chromium")
CONTACTS = "email,first name,city\nbo@example.net,Bo,Bonn\ncy@example.net,Cy,Kiel\nno address,X,Y\n"
HTML = "<p>Hi {{ first_name }}</p><p>{{ postal_address }} <a href='{{ unsubscribe_url }}'>Leave</a></p>"
expect.set_options(timeout=30_000)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def accessible(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait for the page of that name, and look whether everybody can use it."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    page.wait_for_function(STILL)
    accessible(page)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_first_hour(page: Page, tmp_path: Path, catcher: Catcher) -> None:
    house = House(f"sqlite+aiosqlite:///{tmp_path}/data/mail.sqlite3", tmp_path / "data")
    house.log = tmp_path / "daemon.log"
    house.environment["MAILENGINE_WORKER_PROCESSES"] = "1"
    house.environment.pop("MAILENGINE_SECRET_KEY")
    with house.daemon() as daemon:
        url = daemon.url()
        wait_until(lambda: bool(house.events("started")), "it says that it started")
        (said,) = [line for line in house.said() if "nobody can log in yet" in line["event"]]
        first_steps(page, Path(said["file"]).read_text().strip(), catcher)
        contacts_from_a_file(page)
        a_template(page)
        a_campaign(page, catcher)
        a_forgotten_password(page, url, catcher)
        assert daemon.end() == 0


def first_steps(page: Page, link: str, catcher: Catcher) -> None:
    page.goto(link)
    heading(page, "Welcome to mailengine")
    page.get_by_label("Organisation").fill("Acme")
    page.get_by_label("Country").select_option("DE")
    page.get_by_label("Postal address").fill("Street 1\n10115 Berlin")
    page.get_by_label("Your e-mail address").fill("ann@example.org")
    page.get_by_label("Choose a password").fill(PASSWORD)
    press(page, "Continue")
    heading(page, "Mail server")
    page.get_by_label("Server").fill("127.0.0.1")
    page.get_by_label("Port").fill(str(catcher.port))
    page.get_by_label("Encryption").select_option("none")
    press(page, "Save")
    press(page, "Send a test message to ann@example.org")
    heading(page, "Sending domain")
    assert len(catcher.messages_for("ann@example.org")) == 1
    page.get_by_label("Domain", exact=True).fill("example.org")
    press(page, "Save and show the records")
    expect(page.get_by_text("_domainkey.example.org").first).to_be_visible()
    page.get_by_role("link", name="Next").click()
    heading(page, "Web address")
    press(page, "Leave the rest for later")
    heading(page, "Dashboard")


def contacts_from_a_file(page: Page) -> None:
    page.get_by_role("link", name="Imports", exact=True).click()
    heading(page, "Imports")
    page.get_by_label("Drop a file here").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": CONTACTS.encode()}
    )
    page.get_by_label("Into the list").fill("Customers")
    accessible(page)
    press(page, "Start the import")
    page.wait_for_url(re.compile(r"/imports/\d+$"))
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"3 of 3 rows.*Rejected\s*1", re.DOTALL))
    page.get_by_role("link", name="Contacts", exact=True).first.click()
    expect(page.locator("#list tbody tr")).to_have_count(2)
    heading(page, "Contacts")


def a_template(page: Page) -> None:
    page.get_by_role("link", name="Templates", exact=True).click()
    page.get_by_role("link", name="New template").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New template")
    page.get_by_label("Name").fill("Newsletter")
    page.locator("[data-editor][data-started]").wait_for()  # until then it is a plain text area
    code = page.get_by_role("textbox", name="HTML of the message")
    code.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(HTML)
    press(page, "Save")
    expect(page.locator(".toast").first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Newsletter")


def a_campaign(page: Page, catcher: Catcher) -> None:
    page.get_by_role("link", name="Campaigns", exact=True).click()
    page.get_by_role("link", name="New campaign").first.click()
    page.get_by_label("Name of the campaign").fill("Spring")
    page.get_by_label("Subject").fill("News for {{ first_name }}")
    page.get_by_label("Template").select_option("Newsletter")
    press(page, "Save and continue")
    page.get_by_role("checkbox", name="Customers").check()
    press(page, "Save and continue")
    expect(page.get_by_label("Send through")).to_be_visible()
    press(page, "Save and continue")
    expect(page.get_by_role("heading", name="Checklist")).to_be_visible()
    accessible(page)
    press(page, "Send now")
    dialog = page.get_by_role("dialog", name="Send Spring?")
    accept = dialog.get_by_role("checkbox")
    if accept.count():
        accept.check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_label("Progress").first).to_contain_text("2 of 2 sent")
    heading(page, "Spring")
    for address, subject in (("bo@example.net", "News for Bo"), ("cy@example.net", "News for Cy")):
        (message,) = catcher.messages_for(address)
        assert message["subject"] == subject


def a_forgotten_password(page: Page, url: str, catcher: Catcher) -> None:
    press(page, "Log out")
    page.get_by_role("link", name="Forgot").click()
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_role("main").get_by_role("button").click()
    wait_until(lambda: len(catcher.messages_for("ann@example.org")) == 2, "the letter came", 60)
    letter = catcher.messages_for("ann@example.org")[1].as_string().replace("=\n", "")
    link = re.search(r"http\S+/reset/[\w-]+", letter)
    assert link
    assert link[0].startswith(url)
    page.goto(link[0])
    page.get_by_label("New password").fill("another horse battery")
    page.get_by_label("Once more").fill("another horse battery")
    page.get_by_role("main").get_by_role("button").click()
    page.goto(f"{url}/login")
    for password, enters in ((PASSWORD, False), ("another horse battery", True)):
        page.get_by_label("E-mail address").fill("ann@example.org")
        page.get_by_label("Password").fill(password)
        press(page, "Log in")
        if not enters:
            expect(page.get_by_role("alert")).to_be_visible()
    heading(page, "Dashboard")
