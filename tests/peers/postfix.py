"""A real Postfix for all workers of a session: own configuration, queue and log, on a loopback port.

    ok-*@mail.test      delivered by virtual(8)
    defer-*@mail.test   450 4.2.0
    full-*@mail.test    552 5.2.2
    *@mail.test         550 5.1.1
    *                   554 5.7.1

Invariant: it never delivers anywhere else (error transport, no DNS).
virtual(8) refuses `$1` in maps, so it delivers into one Maildir; `maildir` sorts that by Delivered-To.
"""

import asyncio
import email
import email.policy
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

from peers.ports import LOOPBACK, POLL_SECONDS, wait_until
from peers.processes import spawn
from peers.shared import obtain, worker_name
from peers.started import Started, on_free_port

DOMAIN = "mail.test"
NOBODY = 65534
WAIT_SECONDS = 30.0
DAEMONS = (Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix"), Path("/usr/lib/postfix"))
MAIN_CF = """
compatibility_level = 3.6
config_directory = {config}
queue_directory = {spool}
data_directory = {data}
command_directory = {commands}
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {log}
maillog_file_prefixes = {directory}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.mail.test
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
default_transport = error:5.7.1 this test server delivers to mail.test only
relay_transport = $default_transport
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
virtual_mailbox_domains = mail.test
virtual_mailbox_base = {mail}
virtual_mailbox_maps = regexp:{config}/mailboxes
virtual_minimum_uid = 100
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
smtpd_recipient_restrictions = check_recipient_access regexp:{config}/access, reject_unauth_destination
smtpd_relay_restrictions = reject_unauth_destination
message_size_limit = 1048576
virtual_mailbox_limit = 0
# Every worker of the tests is one client, and its wrong recipients are on purpose: no tarpit, no limits.
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 100000
smtpd_hard_error_limit = 100000
smtpd_client_connection_count_limit = 0
smtpd_timeout = 60
in_flow_delay = 0
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
MAILBOXES = "/^ok-.*@mail\\.test$/ all/\n"
ACCESS = """
/^defer-.*@mail\\.test$/ 450 4.2.0 Mailbox busy, try again later
/^full-.*@mail\\.test$/ 552 5.2.2 Mailbox full
"""


def lacking() -> str | None:
    if not shutil.which("postfix", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        return "no Postfix"
    return None if os.geteuid() == 0 else "Postfix starts as root only"


def start(directory: Path) -> Started:
    places = {name: directory / name for name in ("config", "spool", "data", "mail")}
    for path in places.values():
        path.mkdir()
    shutil.chown(places["data"], "postfix")
    os.chown(places["mail"], NOBODY, NOBODY)
    daemons = next(path for path in DAEMONS if (path / "master").exists())
    commands = Path(shutil.which("postfix", path="/usr/sbin:/sbin") or "").parent
    log = directory / "mail.log"
    config = places["config"]
    (config / "main.cf").write_text(
        MAIN_CF.format(**places, directory=directory, log=log, daemons=daemons, commands=commands, uid=NOBODY)
    )
    (config / "mailboxes").write_text(MAILBOXES)
    (config / "access").write_text(ACCESS)

    def launch(port: int) -> "subprocess.Popen[bytes]":
        (config / "master.cf").write_text(MASTER_CF.format(port=f"{port}"))
        subprocess.run([commands / "postfix", "-c", config, "check"], check=True, cwd="/")
        # master itself, in the foreground: its daemons end with it. (It changes its effective user, for which
        # the kernel forgets the parent-death signal: after a killed keeper the session's end finds it.)
        return spawn([daemons / "master", "-c", config, "-d"])

    process, port = on_free_port(launch, "Postfix", log)
    return Started(process, {"port": port, "mail": str(places["mail"]), "log": str(log)})


class Postfix:
    """This worker's view of the shared server."""

    def __init__(self) -> None:
        facts = obtain("postfix")
        self.host, self.port = LOOPBACK, int(facts["port"])
        self.log = Path(facts["log"])
        self._mail = Path(facts["mail"])
        self._unique = f"{worker_name()}-{uuid.uuid4().hex[:8]}"

    def recipient(self, label: str, kind: str = "ok") -> str:
        """An address that no other worker uses; `kind` is ok, defer, full or unknown."""
        return f"{kind}-{self._unique}-{label}@{DOMAIN}"

    def maildir(self, recipient: str) -> Path:
        """The Maildir of that recipient, with all that has been delivered so far."""
        self._sort()
        return self._folder(recipient)

    def messages(self, recipient: str) -> list[bytes]:
        """The delivered messages, in order of delivery, as they lie in the Maildir."""
        new = self.maildir(recipient) / "new"
        return [path.read_bytes() for path in sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns)]

    def parsed(self, recipient: str) -> list[EmailMessage]:
        """The same, parsed by Python's strict policy (a defect raises)."""
        policy = email.policy.SMTP.clone(raise_on_defect=True)
        return [email.message_from_bytes(raw, policy=policy) for raw in self.messages(recipient)]

    def wait_for(self, recipient: str, n: int = 1, seconds: float = WAIT_SECONDS) -> list[bytes]:
        """Blocks until `n` messages are there; not for a test whose own loop sends them (see `arrived`)."""
        wait_until(lambda: len(self.messages(recipient)) >= n, f"{n} messages for {recipient}", seconds)
        return self.messages(recipient)

    async def arrived(self, recipient: str, n: int = 1, seconds: float = WAIT_SECONDS) -> list[bytes]:
        """`wait_for` for a test in whose event loop the sender runs."""
        deadline = time.monotonic() + seconds
        while len(found := self.messages(recipient)) < n:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {n} messages for {recipient} within {seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)
        return found

    def _folder(self, recipient: str) -> Path:
        folder = self._mail / "by-recipient" / re.sub(r"[/\0]", "_", recipient.lower())
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        return folder

    def _sort(self) -> None:
        for path in self._inbox():
            try:
                recipient = _delivered_to(path)
                path.rename(self._folder(recipient) / "new" / path.name)
            except FileNotFoundError:
                continue  # another worker moved it to the same place

    def _inbox(self) -> Iterator[Path]:
        new = self._mail / "all" / "new"
        return iter(list(new.iterdir()) if new.exists() else [])


def _delivered_to(path: Path) -> str:
    with path.open("rb") as file:
        for line in file:
            if line.lower().startswith(b"delivered-to:"):
                return line.split(b":", 1)[1].strip().decode()
    raise AssertionError(f"virtual(8) wrote no Delivered-To into {path}")
