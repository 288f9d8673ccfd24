"""Reaching a server and being greeted: every way in which DNS, TCP, greeting and EHLO go right or wrong."""

import socket

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.domain.delivery.smtp import ConnectFailed, Endpoint, open_session
from peers.recording_source import RecordingSource, letter
from peers.scripted_smtp import QUIT, ScriptedSmtp, opening, transaction
from peers.smtp_client import endpoint, failure

pytestmark = pytest.mark.anyio


class TestReachingTheServer:
    @pytest.mark.parametrize("host", ["mail..test", "a" * 64 + ".test"])
    async def test_name_that_does_not_resolve(self, host: str) -> None:
        """Names that the resolver refuses without asking the network."""
        with pytest.raises(ConnectFailed) as caught:
            await open_session(Endpoint(host, 25, tls="none"))
        assert caught.value.stage == "dns"
        assert ":25: its name cannot be resolved: " in str(caught.value)

    async def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, not listening: the port stays closed
            with pytest.raises(ConnectFailed, match=r"cannot connect: Connection refused") as caught:
                await open_session(Endpoint("127.0.0.1", taken.getsockname()[1], tls="none"))
        assert caught.value.stage == "connect"

    async def test_second_address_is_tried(self) -> None:
        """localhost may be ::1 first, where nobody listens."""
        async with ScriptedSmtp(opening() + QUIT) as server:
            session = await open_session(endpoint(server, host="localhost"))
            await session.close()
        assert server.connections == 1

    async def test_source_address(self) -> None:
        async with ScriptedSmtp(opening() + QUIT) as server:
            session = await open_session(endpoint(server, source_address="127.0.0.1"))
            await session.close()
            failed = await failure(server, source_address="192.0.2.1")
        assert failed.stage == "connect"

    @pytest.mark.parametrize("host", ["", "two words", "line\nend"])
    def test_host_that_is_none(self, host: str) -> None:
        with pytest.raises(InvalidInput):
            Endpoint(host, 25)

    @pytest.mark.parametrize("helo", ["", "two words", "a\r\nMAIL FROM:<x>", "grün"])
    def test_helo_name_that_is_none(self, helo: str) -> None:
        with pytest.raises(InvalidInput):
            Endpoint("mail.test", 25, helo=helo)


class TestGreeting:
    @pytest.mark.parametrize("code", [421, 450, 554])
    async def test_refused(self, code: int) -> None:
        async with ScriptedSmtp(f"S: {code} 4.3.2 not now") as server:
            failed = await failure(server)
        assert failed.stage == "greeting"
        assert failed.reply is not None
        assert failed.reply.code == code

    async def test_words_cannot_steer_a_terminal(self) -> None:
        script = "RAW: 554-5.7.1 \\x1b[2Jgo\\x07\\r\\n554 5.7.1 away\\r\\n\nEOF"
        async with ScriptedSmtp(script) as server:
            failed = await failure(server)
        assert failed.detail == "refused at greeting: 554 5.7.1 [2Jgo 5.7.1 away"
        assert failed.detail.isprintable()

    async def test_hangs_up(self) -> None:
        async with ScriptedSmtp("") as server:
            failed = await failure(server)
        assert (failed.stage, failed.reply) == ("greeting", None)

    async def test_says_nothing(self) -> None:
        async with ScriptedSmtp("WAIT over") as server:
            failed = await failure(server, connect_timeout_seconds=0.1)
            server.event("over").set()
        assert failed.stage == "greeting"

    @pytest.mark.parametrize("banner", ["SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request"])
    async def test_other_protocol(self, banner: str) -> None:
        async with ScriptedSmtp(f"S: {banner}") as server:
            failed = await failure(server)
        assert (failed.stage, failed.reply) == ("greeting", None)
        assert "does not speak SMTP" in failed.detail


class TestEhlo:
    @pytest.mark.parametrize("changes", [{}, {"tls": "starttls"}, {"username": "ann", "password": "x"}])
    async def test_server_that_hangs_up_after_it(self, changes: dict[str, object]) -> None:
        async with ScriptedSmtp(opening("STARTTLS", "AUTH PLAIN") + "RESET") as server:
            source = RecordingSource([letter("a")])
            outcome = "ran"
            try:  # the reset may come before the hand-over to the session or after it
                session = await open_session(endpoint(server, **changes))
                await session.run(source)
                await session.close()
            except ConnectFailed as failed:
                outcome = failed.detail
        assert "offer" not in outcome
        assert source.fates in ({"a": "unsent"}, {})

    async def test_server_without_esmtp(self) -> None:
        old = "S: 220 old.test\nC: EHLO client.test\nS: 502 what?\nC: HELO client.test\nS: 250 old.test\n"
        script = old + "C: MAIL FROM:<b-a@bounce.test>\n" + transaction("a").split("\n", 2)[2] + QUIT
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server))
            await session.run(source)
            await session.close()
            await server.finished()
        assert source.fates == {"a": "accepted"}
        assert session.capabilities.extensions == {}
        assert server.mismatches == []

    async def test_refused_for_now_does_not_try_helo(self) -> None:
        async with ScriptedSmtp("S: 220 x\nC: EHLO *\nS: 450 4.3.2 busy\nEOF") as server:
            failed = await failure(server)
            await server.finished()
        assert failed.stage == "ehlo"
        assert server.mismatches == []

    async def test_both_refused(self) -> None:
        script = "S: 220 x\nC: EHLO *\nS: 550 5.7.1 go away\nC: HELO *\nS: 550 5.7.1 go away\nEOF"
        async with ScriptedSmtp(script) as server:
            failed = await failure(server)
        assert failed.stage == "ehlo"
        assert failed.reply is not None
        assert failed.reply.enhanced == "5.7.1"

    async def test_capabilities(self) -> None:
        offers = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING", "AUTH PLAIN LOGIN")
        async with ScriptedSmtp(opening(*offers) + QUIT) as server:
            session = await open_session(endpoint(server))
            await session.close()
        offered = session.capabilities
        assert offered.pipelining
        assert offered.eight_bit_mime
        assert offered.smtputf8
        assert offered.size_limit_bytes == 1000
        assert offered.auth_methods == ("PLAIN", "LOGIN")
        assert offered.greeting == "scripted.test ESMTP"
        assert offered.tls_version is None

    @pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE lots"])
    async def test_size_without_limit(self, size: str) -> None:
        async with ScriptedSmtp(opening(size) + QUIT) as server:
            session = await open_session(endpoint(server))
            await session.close()
        assert session.capabilities.takes_size
        assert session.capabilities.size_limit_bytes is None

    async def test_helo_is_an_address_literal_where_the_host_has_no_full_name(self) -> None:
        async with ScriptedSmtp(opening() + QUIT) as server:
            session = await open_session(endpoint(server, helo=None))
            await session.close()
        expected = socket.gethostname() if "." in socket.gethostname() else "[127.0.0.1]"
        assert server.commands[0] == f"EHLO {expected}"
