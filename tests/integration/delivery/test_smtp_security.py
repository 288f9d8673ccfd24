"""TLS and AUTH, and the probe that shows both: what is refused rather than done unsafely."""

import base64
import hashlib
import hmac

import pytest

from mailengine.domain.delivery.smtp import Endpoint, open_session, probe
from mailengine.domain.delivery.smtp.connect import is_loopback
from peers.certificates import Authority
from peers.recording_source import CONTENT, RecordingSource, letter
from peers.scripted_smtp import QUIT, ScriptedSmtp, opening, transaction
from peers.smtp_client import endpoint, failure

pytestmark = pytest.mark.anyio

PASSWORD = "s3cret pässword"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class TestTls:
    SECURED = "S: 220 x\nC: EHLO *\nS: 250-x\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\n"

    async def test_starttls(self, authority: Authority) -> None:
        script = self.SECURED + opening().split("\n", 1)[1] + transaction("a") + transaction("b") + QUIT
        source = RecordingSource([letter("a"), letter("b", b"x" * 998 + b"\r\n")])
        async with ScriptedSmtp(script, tls=authority.server_context("127.0.0.1")) as server:
            session = await open_session(endpoint(server, tls="starttls", ca_file=authority.ca_file))
            await session.run(source)
            await session.close()
            await server.finished()
        assert source.fates == {"a": "accepted", "b": "accepted"}
        assert (session.capabilities.tls_version or "").startswith("TLSv1.")
        assert server.mismatches == []

    async def test_large_message_over_tls(self, authority: Authority) -> None:
        content = (b"x" * 998 + b"\r\n") * 5000
        script = self.SECURED + opening("PIPELINING").split("\n", 1)[1] + transaction("a") + QUIT
        source = RecordingSource([letter("a", content)])
        async with ScriptedSmtp(script, tls=authority.server_context("127.0.0.1")) as server:
            session = await open_session(endpoint(server, tls="starttls", ca_file=authority.ca_file))
            await session.run(source)
            await session.close()
            await server.finished()
        assert source.fates == {"a": "accepted"}
        assert server.messages == [content]

    async def test_implicit_tls(self, authority: Authority) -> None:
        context = authority.server_context("localhost")
        script = opening() + transaction("a") + QUIT
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script, tls=context, implicit_tls=True) as server:
            target = endpoint(server, host="localhost", tls="tls", ca_file=authority.ca_file)
            session = await open_session(target)
            await session.run(source)
            await session.close()
            await server.finished()
        assert source.fates == {"a": "accepted"}
        assert (session.capabilities.tls_version or "").startswith("TLSv1.")

    async def test_starttls_not_offered(self) -> None:
        async with ScriptedSmtp(opening() + "EOF") as server:
            failed = await failure(server, tls="starttls")
            await server.finished()
        assert (failed.stage, failed.detail) == ("tls", "the server does not offer STARTTLS")
        assert server.mismatches == []

    async def test_starttls_refused(self) -> None:
        script = "S: 220 x\nC: EHLO *\nS: 250-x\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 no TLS now\nEOF"
        async with ScriptedSmtp(script) as server:
            failed = await failure(server, tls="starttls")
        assert failed.stage == "tls"
        assert failed.reply is not None
        assert failed.reply.code == 454

    async def test_handshake_that_is_none(self) -> None:
        script = self.SECURED.removesuffix("TLS\n") + "BODY 5\nRAW: this is not TLS\\r\\n"
        async with ScriptedSmtp(script) as server:
            failed = await failure(server, tls="starttls")
        assert failed.stage == "tls"

    @pytest.mark.parametrize(("mode", "implicit"), [("starttls", False), ("tls", True)])
    @pytest.mark.parametrize(
        ("names", "expired", "trusted", "words"),
        [
            (("127.0.0.1",), False, False, "not trusted"),
            (("other.test",), False, True, "IP address mismatch"),
            (("127.0.0.1",), True, True, "expired"),
        ],
        ids=["unknown authority", "other name", "expired"],
    )
    async def test_wrong_certificate(
        self, authority: Authority, mode: str, implicit: bool, names: tuple[str, ...], expired: bool,
        trusted: bool, words: str,
    ) -> None:  # fmt: skip
        context = authority.server_context(*names, expired=expired)
        script = "WAIT over" if implicit else self.SECURED
        async with ScriptedSmtp(script, tls=context, implicit_tls=implicit) as server:
            server.event("over").set()
            failed = await failure(server, tls=mode, ca_file=authority.ca_file if trusted else None)
        assert failed.stage == "tls"
        assert words in failed.detail
        assert not any(command.startswith(("MAIL", "AUTH")) for command in server.commands)

    async def test_unverified_when_told(self, authority: Authority) -> None:
        script = self.SECURED + opening().split("\n", 1)[1] + QUIT
        async with ScriptedSmtp(script, tls=authority.server_context("other.test")) as server:
            session = await open_session(endpoint(server, tls="starttls", verify=False))
            await session.close()
        assert session.capabilities.tls_version is not None

    async def test_authorities_that_cannot_be_read(self, authority: Authority) -> None:
        async with ScriptedSmtp("EOF") as server:
            failed = await failure(server, tls="starttls", ca_file=str(authority.directory / "none.pem"))
        assert failed.stage == "tls"
        assert "CA file" in failed.detail

    async def test_replies_injected_before_tls_are_not_believed(self, authority: Authority) -> None:
        """CVE-2011-0411 from the client's side: plain text behind 220 must not become a reply in TLS."""
        injected = "S: 220 go\nS: 250-evil.test\nS: 250 AUTH PLAIN"
        script = self.SECURED.replace("S: 220 go", injected) + opening().split("\n", 1)[1]
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(
            script + transaction("a") + QUIT, tls=authority.server_context("127.0.0.1")
        ) as server:
            session = await open_session(endpoint(server, tls="starttls", ca_file=authority.ca_file))
            await session.run(source)
            await session.close()
        assert session.capabilities.auth_methods == ()
        assert source.fates == {"a": "accepted"}

    async def test_certificate_of_no_loopback_port_is_kept_out_of_clear_text(
        self, authority: Authority
    ) -> None:
        """Implicit TLS against a server that speaks clear text."""
        async with ScriptedSmtp(opening()) as server:
            failed = await failure(server, tls="tls", ca_file=authority.ca_file)
        assert failed.stage == "tls"


class TestAuth:
    PLAIN = f"C: AUTH PLAIN {b64(chr(0) + 'ann' + chr(0) + PASSWORD)}\n"

    async def logged_in(self, server: ScriptedSmtp, **changes: object) -> None:
        session = await open_session(endpoint(server, username="ann", password=PASSWORD, **changes))
        await session.close()
        await server.finished()
        assert server.mismatches == []

    async def test_plain(self) -> None:
        async with ScriptedSmtp(
            opening("AUTH PLAIN LOGIN") + self.PLAIN + "S: 235 2.7.0 Ok\n" + QUIT
        ) as server:
            await self.logged_in(server)

    async def test_login(self) -> None:
        dialogue = f"C: AUTH LOGIN {b64('ann')}\nS: 334 UGFzc3dvcmQ6\nC: {b64(PASSWORD)}\nS: 235 2.7.0 Ok\n"
        async with ScriptedSmtp(opening("AUTH LOGIN") + dialogue + QUIT) as server:
            await self.logged_in(server)

    async def test_cram_md5_is_preferred(self) -> None:
        digest = hmac.new(PASSWORD.encode(), b"<1@scripted.test>", hashlib.md5).hexdigest()
        dialogue = (
            f"C: AUTH CRAM-MD5\nS: 334 {b64('<1@scripted.test>')}\nC: {b64('ann ' + digest)}\nS: 235 Ok\n"
        )
        async with ScriptedSmtp(opening("AUTH PLAIN LOGIN CRAM-MD5") + dialogue + QUIT) as server:
            await self.logged_in(server)

    async def test_xoauth2(self) -> None:
        token = b64(f"user=ann\x01auth=Bearer {PASSWORD}\x01\x01")
        dialogue = f"C: AUTH XOAUTH2 {token}\nS: 235 2.7.0 Ok\n"
        async with ScriptedSmtp(opening("AUTH XOAUTH2 PLAIN") + dialogue + QUIT) as server:
            await self.logged_in(server, auth="xoauth2")

    @pytest.mark.parametrize("reply", ["535 5.7.8 bad credentials", "454 4.7.0 temporary failure"])
    async def test_refused_without_telling_the_password(self, reply: str) -> None:
        encoded = b64(chr(0) + "ann" + chr(0) + PASSWORD)
        script = (
            opening("AUTH PLAIN")
            + self.PLAIN
            + f"S: {reply} for {PASSWORD} ({encoded}, {b64(PASSWORD)})\nEOF"
        )
        async with ScriptedSmtp(script) as server:
            failed = await failure(server, username="ann", password=PASSWORD)
        assert failed.stage == "auth"
        assert failed.reply is not None
        assert failed.reply.code == int(reply[:3])
        for place in (str(failed), repr(failed), failed.detail, failed.reply.text):
            assert PASSWORD not in place
            assert b64(PASSWORD) not in place
            assert encoded not in place

    def test_password_is_not_shown(self) -> None:
        assert PASSWORD not in repr(Endpoint("mail.test", 25, username="ann", password=PASSWORD))

    async def test_not_offered(self) -> None:
        async with ScriptedSmtp(opening() + "EOF") as server:
            failed = await failure(server, username="ann", password=PASSWORD)
        assert (failed.stage, failed.reply) == ("auth", None)

    async def test_no_common_method(self) -> None:
        async with ScriptedSmtp(opening("AUTH GSSAPI") + "EOF") as server:
            failed = await failure(server, username="ann", password=PASSWORD)
        assert failed.stage == "auth"

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    def test_loopback(self, address: str) -> None:
        assert is_loopback(address)

    @pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "fe80::1%eth0"])
    def test_not_loopback(self, address: str) -> None:
        assert not is_loopback(address)


class TestProbe:
    async def test_connects_and_logs_in(self, authority: Authority) -> None:
        secured = TestTls.SECURED + opening("SIZE 5", "AUTH PLAIN").split("\n", 1)[1]
        script = secured + TestAuth.PLAIN + "S: 235 2.7.0 Ok\n" + QUIT
        async with ScriptedSmtp(script, tls=authority.server_context("127.0.0.1")) as server:
            target = endpoint(
                server, tls="starttls", ca_file=authority.ca_file, username="ann", password=PASSWORD
            )
            report = await probe(target)
            await server.finished()
        assert report.ok
        assert [step.name for step in report.steps] == ["connect", "greeting", "ehlo", "tls", "auth"]
        assert (report.tls_version or "").startswith("TLSv1.")
        assert report.auth_methods == ("PLAIN",)
        assert report.capabilities is not None
        assert report.capabilities.size_limit_bytes == 5
        assert server.mismatches == []

    async def test_failure_is_the_last_step(self) -> None:
        async with ScriptedSmtp(opening() + "EOF") as server:
            report = await probe(endpoint(server, tls="starttls"))
        assert not report.ok
        assert report.steps[-1] == ("tls", False, "the server does not offer STARTTLS")
        assert report.greeting == "scripted.test ESMTP"

    async def test_asks_for_addresses_without_sending(self) -> None:
        asked = """
            C: MAIL FROM:<b@x.test>
            S: 250 2.1.0 Ok
            C: RCPT TO:<a@x.test>
            S: 550 5.1.1 no such user
            C: RSET
            S: 250 2.0.0 Ok
        """
        async with ScriptedSmtp(opening() + asked + QUIT) as server:
            report = await probe(endpoint(server), mail_from="b@x.test", rcpt_to="a@x.test")
            await server.finished()
        assert report.steps[-2:] == [
            ("mail", True, "250 2.1.0 Ok"),
            ("rcpt", False, "550 5.1.1 no such user"),
        ]
        assert server.mismatches == []

    @pytest.mark.parametrize(("final", "ok"), [("250 2.0.0 queued", True), ("554 5.7.1 spam", False)])
    async def test_sends_a_message(self, final: str, ok: bool) -> None:
        async with ScriptedSmtp(opening() + transaction("a", final) + QUIT) as server:
            report = await probe(endpoint(server), mail_from="b@x.test", rcpt_to="a@x.test", content=CONTENT)
        assert report.ok is ok
        assert report.steps[-1][:2] == ("final", ok)
        assert server.messages == [CONTENT]
