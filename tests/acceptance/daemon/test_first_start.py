"""A daemon on nothing: it makes an installation, offers a link, and a person goes on from there."""

import re
import sys
from pathlib import Path

import httpx
import pytest

from peers.ports import free_port, wait_until
from peers.tmux import Terminal
from support.browsing import TOKEN
from support.daemon import House
from support.program import Program

GIVEN = {
    "organisation": "Acme",
    "country": "DE",
    "postal_address": "Street 1",
    "email": "ann@example.org",
    "password": "correct horse battery",
}


def submit(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    token = TOKEN.search(client.get(path).text)
    assert token
    return client.post(path, data={**fields, "_csrf_token": token[1]})


def test_from_nothing_to_the_first_user_and_a_base_url(tmp_path: Path) -> None:
    port = free_port()
    house = House(f"sqlite+aiosqlite:///{tmp_path}/data/mail.sqlite3", tmp_path / "data")
    house.log = tmp_path / "daemon.log"
    house.environment |= {"MAILENGINE_WEB_PORT": str(port), "MAILENGINE_WORKER_PROCESSES": "1"}
    house.environment.pop("MAILENGINE_SECRET_KEY")
    with house.daemon() as daemon:
        url = daemon.url()
        wait_until(lambda: bool(house.events("started")), "it says that it started")
        (said,) = [line for line in house.said() if "nobody can log in yet" in line["event"]]
        left = Path(said["file"])
        assert left.stat().st_mode & 0o077 == 0, "who has the link owns the installation"
        path = left.read_text().strip().removeprefix(url)
        assert re.fullmatch(r"/setup/start/[\w-]{43}", path)
        for kept in (house.log, tmp_path / "data" / "logs" / "daemon.log"):
            assert "setup/start" not in kept.read_text()
        assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0
        fresh = house.program.ok("setup-link", "--json").json["link"]
        assert not left.exists(), "what it leads to is gone"
        with httpx.Client(base_url=url, timeout=30) as client:
            assert client.get("/setup/start/made-up").status_code == 404
            assert client.get(path).status_code == 404, "there is another link since"
            path = fresh.removeprefix(url)
            assert submit(client, path, **GIVEN).headers["location"] == "/setup"
            assert client.get(path).status_code == 404, "the link works once"
            moved = submit(client, "/setup/base-url", base_url=f"http://localhost:{port}/")
            assert f"localhost:{port}" in moved.text
        wait_until(lambda: len(house.events("started")) == 2, "every role starts again", 60)
        assert not left.exists(), "there is a user now"
        refused = house.program.run("setup-link")
        assert (refused.code, refused.out) == (1, "")
        assert "somebody can log in already" in refused.complaint
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as client:
            assert client.get("/livez").text == "ok"
            login = submit(client, "/login", email=GIVEN["email"], password=GIVEN["password"])
            assert login.status_code == 303
        examined = house.program.ok("doctor", "--offline", "--json").json["findings"]
        (said,) = [each["words"] for each in examined if each["name"] == "base_url"]
        assert said.startswith(f"http://localhost:{port} "), "doctor knows the stored address"
        ran = house.program.ok("user", "invite", "bob@example.org", "--json")
        assert ran.json["link"].startswith(f"http://localhost:{port}/invitations/")
        assert daemon.end() == 0
    assert [line["event"] for line in house.said()].count("a new installation") == 1
    program = Program(tmp_path / "data", MAILENGINE_DATABASE_URL=house.url)
    for kept in ("mail.sqlite3", "secret.key"):
        gone = tmp_path / "data" / kept
        renamed = gone.rename(tmp_path / kept)
        ran = program.run("daemon", "--port", "0")
        assert ran.code == 1, f"without {kept} the rest is no new start"
        renamed.rename(gone)


@pytest.mark.peer("tmux")
def test_a_person_at_a_terminal_sees_the_link_and_no_file_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    command = [sys.executable, "-m", "mailengine", "daemon", "--port", "0"]
    terminal = Terminal(
        tmp_path / "tmux", command, width=160, height=40,
        MAILENGINE_DATA_DIR=str(folder), MAILENGINE_WORKER_PROCESSES="1",
    )  # fmt: skip
    try:
        wait_until(lambda: "started" in terminal.screen(), "it says that it started", 90)
        assert re.search(
            r"Open this link to begin.*\n\s+http://\S+/setup/start/[\w-]{43}\n", terminal.screen(), re.S
        )
        assert not (folder / "setup-link").exists()
        kept = (folder / "logs" / "daemon.log").read_text()
        assert "is on the terminal" in kept
        assert "setup/start" not in kept
        terminal.press("C-c")
        wait_until(lambda: terminal.ended, "it ends", 60)
    finally:
        terminal.stop()
