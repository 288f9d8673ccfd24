"""A person's first hour, in a real browser against a real daemon and a real SMTP server: the printed link, the first
steps, contacts from a file, a template, a campaign, its report; then, by the keyboard alone, a password that was
forgotten and a second factor."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect, sync_playwright

from mailengine.domain.accounts import totp
from peers.catcher import Catcher
from peers.ports import wait_until
from support.browsing import PASSWORD
from support.chromium import FAULTS, FLAGS, NAMED, PROGRAM, RINGED, STILL, WCAG
from support.daemon import House

pytestmark = pytest.mark.peer("chromium")
LOG_IN = "Log in to mailengine"
CONTACTS = "email,first name,city\nbo@example.net,Bo,Bonn\ncy@example.net,Cy,Kiel\nno address,X,Y\n"
HTML = "<p>Hi {{ first_name }}</p><p>{{ postal_address }} <a href='{{ unsubscribe_url }}'>Leave</a></p>"
expect.set_options(timeout=30_000)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def accessible(page: Page) -> None:
    """As `support.chromium.accessible`: a toast that began to go is not there at the second look."""
    found: list[str] = []
    for _ in range(2):
        page.wait_for_function(STILL)
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE_SCRIPT)
        found = page.evaluate(FAULTS, WCAG)
        if not found:
            return
    raise AssertionError("\n".join(found))


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait for the page of that name, and look whether everybody can use it."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
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
        by_the_keyboard_alone(page, url, catcher)
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


def by_the_keyboard_alone(page: Page, url: str, catcher: Catcher) -> None:
    """A forgotten password, a new one, a second factor: no pointer, and the focus is always to be seen."""
    reach(page, "Log out")
    page.keyboard.press("Enter")
    heading(page, LOG_IN)
    reach(page, "Forgot your password?")
    page.keyboard.press("Enter")
    type_into(page, "E-mail address", "ann@example.org")
    wait_until(lambda: len(catcher.messages_for("ann@example.org")) == 2, "the letter came", 60)
    letter = catcher.messages_for("ann@example.org")[1].as_string().replace("=\n", "")
    link = re.search(r"http\S+/reset/[\w-]+", letter)
    assert link
    assert link[0].startswith(url)
    page.goto(link[0])
    type_into(page, "New password", "another horse battery", then="Tab")
    type_into(page, "Once more", "another horse battery")
    heading(page, LOG_IN)
    type_into(page, "E-mail address", "ann@example.org", then="Tab")
    type_into(page, "Password", PASSWORD)
    expect(page.get_by_role("alert")).to_be_visible()
    type_into(page, "Password", "another horse battery")
    heading(page, "Dashboard")
    step = a_second_factor(page)
    reach(page, "Log out")
    page.keyboard.press("Enter")
    heading(page, LOG_IN)
    type_into(page, "E-mail address", "ann@example.org", then="Tab")
    type_into(page, "Password", "another horse battery")
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    type_into(page, "Code", step)
    heading(page, "Dashboard")
    dialogs_and_menus(page, url)


def a_second_factor(page: Page) -> str:
    """Switch it on; the next code that will do."""
    reach(page, "ann@example.org")
    page.keyboard.press("Enter")
    heading(page, "Your account")
    reach(page, "Set up")
    page.keyboard.press("Enter")
    heading(page, "Set up the second factor")
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    written = re.search(r"\b[A-Z2-7]{32}\b", page.get_by_role("main").inner_text())
    assert written
    secret, now = base64.b32decode(written[0]), totp.step_of(datetime.now(UTC))
    type_into(page, "Code", totp.code_at(secret, now))
    heading(page, "Your recovery codes")
    return totp.code_at(secret, now + 1)


def dialogs_and_menus(page: Page, url: str) -> None:
    """A dialog keeps the focus and gives it back; the menu of a phone does; what repeats can be skipped."""
    page.goto(f"{url}/account")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    reach(page, "Present password", tabs=1)
    reach(page, "Switch off")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Switch off")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("main").get_by_role("button", name="Switch off")).to_be_focused()
    page.set_viewport_size({"width": 375, "height": 700})
    page.goto(f"{url}/account")
    reach(page, "Open the menu")
    page.keyboard.press("Enter")
    menu = page.get_by_role("navigation", name="Main")
    expect(menu).to_be_visible()
    reach(page, "Contacts")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(page.get_by_role("button", name="Open the menu")).to_be_focused()


def type_into(page: Page, name: str, text: str, then: str = "Enter") -> None:
    """Go to the field, unless it has the focus already, and put the text in place of what is there."""
    expect(page.get_by_label(name, exact=True)).to_be_visible()
    if page.evaluate(NAMED) != name:
        reach(page, name)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press(then)


def reach(page: Page, name: str, tabs: int = 80) -> None:
    """Press Tab until what has that name has the focus, and shows it."""
    for _ in range(tabs):
        page.keyboard.press("Tab")
        if page.evaluate(NAMED) == name:
            assert page.evaluate(RINGED), f"{name} has no visible focus"
            return
    raise AssertionError(f"the keyboard never reaches {name}")
