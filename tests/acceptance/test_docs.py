"""The README and the pages of docs/ are true: what they show is run, and where they lead there is something.

A block fenced as `console` is a session with the program. Each line that begins with `$ ` is run in order by the
real command, in a page's own installation; the lines below it are what it prints, `…` standing for anything. A
command that is shown to complain (`mailengine: …`) must fail, every other one must not.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice, product, takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from aiosmtpd.smtp import AuthResult, LoginPassword

from mailengine.cli.main import app
from peers.catcher import Catcher
from peers.certificates import Authority
from peers.dns_zone import DnsZone
from peers.ports import LOOPBACK, wait_until
from support.program import PASSWORD, Program, Ran

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PEOPLE = 20
LARGEST_IMAGE_BYTES = 200_000
RELAY_HOST, RELAY_PORT, RELAY_USER, RELAY_PASSWORD = "smtp.example.org", "587", "acme", "s3cret words"
SESSION = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass
class Command:
    """One command of a page and the lines that it is shown to print."""

    text: str
    shown: list[str] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        return any(line.startswith("mailengine: ") for line in self.shown)


def commands_of(page: Path) -> list[Command]:
    found: list[Command] = []
    for block in SESSION.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:]))
            elif line.strip():
                found[-1].shown.append(line)
    return found


SESSIONS = [page for page in PAGES if commands_of(page)]


class Desk:
    """A folder with the reader's files, a relay with TLS and a password, a DNS zone, and the program."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        authority = Authority.create(folder)
        self.relay = Catcher(
            tls_context=authority.server_context(LOOPBACK),
            require_starttls=True,
            auth_required=True,
            authenticator=_admit,
        )
        stack.callback(self.relay.stop)
        self.zone = DnsZone()
        stack.callback(self.zone.stop)
        self.program = Program(
            folder / "data",
            SSL_CERT_FILE=authority.ca_file,
            MAILENGINE_WEB_PORT="0",
            MAILENGINE_DNS_NAMESERVERS=self.zone.host,
            MAILENGINE_DNS_PORT=str(self.zone.port),
        )
        self._stack = stack
        self._write_files()

    def _write_files(self) -> None:
        with (ROOT / "examples/contacts.csv").open(encoding="utf-8") as people:
            (self.folder / "contacts.csv").write_text("".join(islice(people, PEOPLE + 1)), encoding="utf-8")
        shutil.copy(ROOT / "examples/newsletter.html", self.folder)
        (self.folder / "password.txt").write_text(PASSWORD)
        (self.folder / "relay-password.txt").write_text(RELAY_PASSWORD)

    def settle(self) -> None:
        """What the quick start leaves behind: the pages of docs/ begin there."""
        self.program.init()
        self.program.ok("relay", "add", "main", "--host", LOOPBACK, "--port", str(self.relay.port),
                        "--username", RELAY_USER, "--password-file", "relay-password.txt")  # fmt: skip
        self.program.ok("import", "contacts.csv", "--list", "Customers")
        self.program.ok("template", "add", "newsletter.html", "--name", "Newsletter")

    def run(self, text: str) -> Ran:
        """A command line as a shell would take it: words, and files for standard input and output."""
        words = shlex.shlex(text, posix=True, punctuation_chars="<>|;&")
        words.whitespace_split = True
        *arguments, given, taken = _redirected(list(words))
        assert arguments[0] == "mailengine", f"only mailengine is run: {text}"
        arguments = [self._here(word) for word in arguments[1:]]
        if arguments == ["daemon"]:
            return self._start_daemon()
        stdin = (self.folder / given).read_text() if given else ""
        ran = self.program.run(*arguments, stdin=stdin)
        if taken:
            (self.folder / taken).write_text(ran.out)
        if arguments[:2] == ["domain", "add"]:
            self._publish(arguments[2])
        return ran

    def _here(self, word: str) -> str:
        """The reader's relay is a stranger's machine; ours speaks the same on this one."""
        return {RELAY_HOST: LOOPBACK, RELAY_PORT: str(self.relay.port)}.get(word, word)

    def _publish(self, domain: str) -> None:
        for record in self.program.ok("domain", "show", domain, "--json").json["records"]:
            parts = [record["value"][at : at + 255] for at in range(0, len(record["value"]), 255)]
            self.zone.records[record["name"]] = [("TXT", " ".join(f'"{part}"' for part in parts))]

    def _start_daemon(self) -> Ran:
        log = self.folder / "daemon.log"
        with log.open("wb") as written:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "mailengine", "daemon"],
                stdin=subprocess.DEVNULL,
                stderr=written,
                env={
                    **os.environ,
                    "MAILENGINE_DATA_DIR": str(self.program.data_dir),
                    **self.program.environment,
                },
            )
        self._stack.callback(_stop, daemon)
        announced = self.program.data_dir / "daemon.json"
        wait_until(lambda: announced.exists() or daemon.poll() is not None, "the daemon serves")
        return Ran(daemon.poll() or 0, "", log.read_text())


def _admit(
    _server: object, _session: object, _envelope: object, _mechanism: str, credentials: object
) -> object:
    known = LoginPassword(RELAY_USER.encode(), RELAY_PASSWORD.encode())
    return AuthResult(success=credentials == known)


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0


def _redirected(words: list[str]) -> list[str]:
    """The words, then the file to read and the file to write ("" for none)."""
    files = {"<": "", ">": ""}
    while len(words) > 2 and words[-2] in files:
        files[words[-2]] = words[-1]
        words = words[:-2]
    return [*words, files["<"], files[">"]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        yield Desk(tmp_path, stack)


def _matches(shown: str, printed: str) -> bool:
    """Compared without regard to how columns are aligned."""
    pattern = ".*".join(re.escape(part) for part in " ".join(shown.split()).split("…"))
    return re.fullmatch(pattern, " ".join(printed.split())) is not None


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(desk: Desk, page: Path) -> None:
    if page != README:
        desk.settle()
    for command in commands_of(page):
        ran = desk.run(command.text)
        said = f"$ {command.text}\n{ran.out}{ran.err}"
        assert (ran.code != 0) == command.fails, said
        printed = (ran.out + ran.err).splitlines()
        for line in command.shown:
            assert any(_matches(line, each) for each in printed), f"not printed: {line}\n{said}"
    if page == README:
        assert {caught.sender.rpartition("@")[2] for caught in desk.relay.caught} == {"example.org"}
        assert (
            len(desk.relay.caught)
            == desk.program.ok("campaign", "report", "Spring", "--json").json["sent"] + 1
        )


SHOWN = re.compile(r"^(?:    |\$ )mailengine (.+)$|`mailengine ([^`]+)`", re.M)
BESIDE = re.compile(r"\s\s.*")  # what is said beside a command
WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")
OF_THE_SHELL = {"|", "<", ">", ";", "#", "&&"}
OF_TYPER = ("--help", "-h", "--version", "--install-completion", "--show-completion")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    """Also where it cannot be run: its name and its options are the program's."""
    for shown in SHOWN.findall(page.read_text().replace("\\\n", " ")):
        text = BESIDE.sub("", "".join(shown)).translate({ord("["): None, ord("]"): None})
        ours = takewhile(lambda word: word not in OF_THE_SHELL, WORD.findall(text))
        for words in product(*(word.split("|") for word in ours)):
            _check_names(typer.main.get_command(app), list(words))


def _check_names(command: Any, words: list[str]) -> None:
    """Follow the words through groups to a command; a word in capitals stands for any of them."""
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    while words:
        word = words.pop(0)
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0]
            assert name in options or name in OF_TYPER, f"{command.name} has no option {name}"
            if name in options and not options[name].is_flag and "=" not in word:
                del words[:1]
        elif hasattr(command, "commands") and not word.isupper() and word != "…":
            assert word in command.commands, f"{command.name} has no command {word}"
            _check_names(command.commands[word], words)
            return


def test_the_readme_has_a_session() -> None:
    assert README in SESSIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not re.match(r"https?:|mailto:|#", target):
            found = (page.parent / target.partition("#")[0]).resolve()
            assert found.exists(), f"{page.name} links to {target}"
            if found.suffix in (".png", ".svg"):
                assert found.stat().st_size < LARGEST_IMAGE_BYTES


def test_the_map_names_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text()
    missing = [page.name for page in PAGES[1:] if page.name != "index.md" and f"({page.name})" not in index]
    assert not missing, f"docs/index.md does not name {', '.join(missing)}"
