"""The peers do what the other tests rely on."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import dns.exception
import dns.resolver
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from peers.catcher import Catcher
from peers.dns_zone import DnsZone
from peers.ports import wait_until
from peers.postfix import Postfix
from peers.postgres import ROLE, Postgres
from peers.processes import alive, python_path
from peers.redis_server import RedisServer
from peers.sink import CountingSink, SmtpSink

pytestmark = pytest.mark.anyio
SENDER = "bounces@example.org"


def letter(recipient: str, number: int = 1) -> bytes:
    head = f"From: <news@example.org>\r\nTo: <{recipient}>\r\nMessage-ID: <{number}@example.org>\r\n"
    return f"{head}Subject: Hello\r\n\r\nGood morning\r\n..a dot\r\n".encode()


def refusal(host: str, port: int, recipient: str) -> tuple[int, bytes]:
    with smtplib.SMTP(host, port) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(SENDER, [recipient], letter(recipient))
    return refused.value.recipients[recipient]


class TestPostfix:
    def test_delivers_to_the_maildir_of_a_known_recipient(self, postfix: Postfix) -> None:
        ada, bob = postfix.recipient("ada"), postfix.recipient("bob")
        with smtplib.SMTP(postfix.host, postfix.port) as client:
            client.ehlo()
            assert client.has_extn("pipelining")
            client.sendmail(SENDER, [ada], letter(ada))
            client.sendmail(SENDER, [ada, bob], letter(ada, 2))
        postfix.wait_for(ada, 2)
        postfix.wait_for(bob, 1)
        message = postfix.parsed(bob)[0]
        assert message["Message-ID"] == "<2@example.org>"
        assert message["Return-Path"] == f"<{SENDER}>"
        assert message.get_content() == "Good morning\n..a dot\n"
        assert len(list((postfix.maildir(ada) / "new").iterdir())) == 2

    @pytest.mark.parametrize(
        ("kind", "code", "words"),
        [
            ("unknown", 550, b"5.1.1"),
            ("defer", 450, b"4.2.0"),
            ("full", 552, b"5.2.2"),
        ],
    )
    def test_refuses_as_its_name_says(self, postfix: Postfix, kind: str, code: int, words: bytes) -> None:
        said = refusal(postfix.host, postfix.port, postfix.recipient("x", kind))
        assert said[0] == code
        assert said[1].startswith(words)

    def test_relays_nowhere(self, postfix: Postfix) -> None:
        assert refusal(postfix.host, postfix.port, "someone@example.net")[0] == 554


class TestPostgres:
    async def test_databases_are_fresh_and_their_role_is_bound_by_row_level_security(
        self, postgres: Postgres, postgres_dsn: str
    ) -> None:
        with postgres.copy() as other:
            for dsn in (postgres_dsn, other.dsn):
                engine = create_async_engine(dsn)
                async with engine.begin() as connection:
                    await connection.execute(text("CREATE TABLE only_here (tenant_id int)"))
                    await connection.execute(text("INSERT INTO only_here VALUES (1), (2)"))
                    await connection.execute(text("ALTER TABLE only_here ENABLE ROW LEVEL SECURITY"))
                    await connection.execute(text("ALTER TABLE only_here FORCE ROW LEVEL SECURITY"))
                    await connection.execute(text("CREATE POLICY own ON only_here USING (tenant_id = 1)"))
                    rows = await connection.execute(text("SELECT tenant_id, current_user FROM only_here"))
                    assert rows.all() == [(1, ROLE)]
                await engine.dispose()

    async def test_a_closed_database_is_gone(self, postgres: Postgres) -> None:
        with postgres.empty() as dsn:
            pass
        engine = create_async_engine(dsn)
        with pytest.raises((DBAPIError, asyncpg.InvalidCatalogNameError)):
            await engine.connect()
        await engine.dispose()


async def test_each_system_has_a_fresh_database(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE only_here (id int)"))
    await engine.dispose()


class TestSinks:
    def test_smtp_sink_swallows(self, smtp_sink: SmtpSink) -> None:
        with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
            assert client.sendmail(SENDER, ["a@example.org"], letter("a@example.org")) == {}

    def test_the_log_outlives_the_sink(self, counting_sink: Callable[..., CountingSink]) -> None:
        sink = counting_sink()
        with smtplib.SMTP(sink.host, sink.port) as client:
            for number in range(10):
                client.sendmail(SENDER, [f"a{number}@example.org"], letter("a@example.org", number))
            sink.stop(signal.SIGKILL)
        assert sink.received() == {f"a{number}@example.org": 1 for number in range(10)}
        assert sink.envelopes()[3].message_id == "<3@example.org>"
        assert sink.envelopes()[3].sender == SENDER

    def test_a_pipelined_client_gets_every_reply_in_order(
        self, counting_sink: Callable[..., CountingSink]
    ) -> None:
        sink, messages = counting_sink(), 500
        with socket.create_connection((sink.host, sink.port)) as client, client.makefile("rb") as replies:
            client.sendall(b"EHLO test\r\n")
            while not replies.readline().startswith(b"250 "):
                pass
            for number in range(messages):
                envelope = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<a{number}@example.org>\r\nDATA\r\n"
                client.sendall(envelope.encode() + letter("a@example.org", number) + b".\r\n")
            codes = [replies.readline()[:3] for _ in range(4 * messages)]
        assert codes == [b"250", b"250", b"354", b"250"] * messages
        assert sink.accepted() == messages

    @pytest.mark.parametrize(
        ("option", "counted"), [("drop_mail", 0), ("drop_before", 0), ("drop_unsaid", 1), ("drop_after", 1)]
    )
    def test_drops_a_connection_where_it_is_told(
        self, counting_sink: Callable[..., CountingSink], option: str, counted: int
    ) -> None:
        sink = counting_sink(**{option: 1})
        with socket.create_connection((sink.host, sink.port)) as client:
            client.sendall(b"EHLO test\r\n")
            client.sendall(
                b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + letter("b") + b".\r\n"
            )
            said = _until_dropped(client)
        assert sink.accepted() == counted
        assert (b"250 2.0.0" in said) == (option == "drop_after")

    def test_defers_some_messages_the_same_way_for_the_same_seed(
        self, counting_sink: Callable[..., CountingSink]
    ) -> None:
        received = []
        for _ in range(2):
            sink = counting_sink(defer_message=0.5, defer_recipient=0.2, seed=7)
            with smtplib.SMTP(sink.host, sink.port) as client:
                for number in range(30):
                    _try(client, f"a{number}@example.org")
            received.append(sink.received())
        assert received[0] == received[1]
        assert 0 < len(received[0]) < 30


def _until_dropped(client: socket.socket) -> bytes:
    said = b""
    try:
        while part := client.recv(4096):
            said += part
    except ConnectionResetError:
        pass
    return said


def _try(client: smtplib.SMTP, recipient: str) -> None:
    try:
        client.sendmail(SENDER, [recipient], letter(recipient))
    except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused):
        client.rset()


def test_the_catcher_keeps_what_it_accepts(catcher: Catcher) -> None:
    catcher.replies["gone@example.org"] = "550 5.1.1 No such user"
    with smtplib.SMTP(catcher.host, catcher.port) as client:
        client.sendmail(SENDER, ["here@example.org", "gone@example.org"], letter("here@example.org"))
    assert [message["Subject"] for message in catcher.messages_for("here@example.org")] == ["Hello"]
    assert catcher.caught[0].recipients == ["here@example.org"]


class TestDns:
    @pytest.mark.parametrize("tcp", [False, True])
    def test_answers_from_its_records(self, dns_zone: DnsZone, tcp: bool) -> None:
        dns_zone.records["example.org"] = [("TXT", '"v=spf1 -all"'), ("MX", "10 mx.example.org.")]
        answer = dns_zone.resolver().resolve("example.org", "TXT", tcp=tcp)
        assert answer[0].strings == (b"v=spf1 -all",)
        with pytest.raises(dns.resolver.NoAnswer):
            dns_zone.resolver().resolve("example.org", "AAAA", tcp=tcp)

    def test_an_answer_too_long_for_udp_comes_by_tcp(self, dns_zone: DnsZone) -> None:
        dns_zone.records["long.example"] = [("TXT", f'"{number:03}{"x" * 250}"') for number in range(12)]
        assert len(dns_zone.resolver().resolve("long.example", "TXT")) == 12

    def test_fails_as_it_is_told(self, dns_zone: DnsZone) -> None:
        dns_zone.servfail.add("broken.example")
        dns_zone.silent.add("silent.example")
        with pytest.raises(dns.resolver.NXDOMAIN):
            dns_zone.resolver().resolve("absent.example", "TXT")
        with pytest.raises(dns.resolver.NoNameservers):
            dns_zone.resolver().resolve("broken.example", "TXT")
        with pytest.raises(dns.exception.Timeout):
            dns_zone.resolver(seconds=0.2).resolve("silent.example", "TXT")


def test_redis_answers(redis_server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_server.port)) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"


KILLED_SESSION = """
import json, os, sys, time
from peers import shared
shared.open_run()
facts = {name: shared.obtain(name) for name in ("postgres_server",)}
run = shared.run_directory()
keepers = [int(path.read_text()) for path in run.glob("*.keeper")]
print(json.dumps({"run": str(run), "keepers": keepers, **facts}), flush=True)
time.sleep(600)
"""


@pytest.mark.peer("postgres")
def test_a_killed_session_leaves_no_server_behind() -> None:
    environment = {**os.environ, **python_path()}
    session = subprocess.Popen(
        [sys.executable, "-c", KILLED_SESSION], stdout=subprocess.PIPE, env=environment
    )
    assert session.stdout is not None
    facts = json.loads(session.stdout.readline())
    session.kill()
    session.communicate()
    wait_until(lambda: not any(map(alive, facts["keepers"])), "the keeper ends with its session")
    assert not Path(facts["run"]).exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", facts["postgres_server"]["port"]))
