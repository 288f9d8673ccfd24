"""One envelope to a server: its parameters, its packets, and the verdict on the server's words."""

import pytest

from mailengine.domain.delivery.smtp import Envelope, open_session
from mailengine.mail.replies import judge
from peers.recording_source import CONTENT, RecordingSource, letter
from peers.scripted_smtp import PLAIN, QUIT, RESET, ScriptedSmtp, envelope, opening, transaction
from peers.smtp_client import deliver, endpoint

pytestmark = pytest.mark.anyio


class TestPipelining:
    async def test_commands_follow_the_end_of_data_in_one_packet(self) -> None:
        """The server holds back its final reply until it has seen the next envelope."""
        script = (
            opening()
            + envelope("a")
            + """
            DATA
            C: MAIL FROM:<b-b*
            C: RCPT TO:<b@*
            C: DATA
            S: 250 2.0.0 queued
            S: 250 2.1.0 Ok
            S: 250 2.1.5 Ok
            S: 354 go ahead
            DATA
            S: 250 2.0.0 queued
        """
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script + QUIT) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted", "b": "accepted"}
        assert source.journal == ["a", "b"]

    async def test_data_granted_without_recipient_gets_a_lone_dot(self) -> None:
        script = (
            opening()
            + """
            C: MAIL FROM:<b-a*
            S: 250 2.1.0 Ok
            C: RCPT TO:<a@*
            S: 550 5.1.1 no such user
            C: DATA
            S: 354 go ahead all the same
            DATA
            S: 554 5.5.1 no valid recipients
        """
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script + RESET + transaction("b") + QUIT) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "b": "accepted"}
        assert (source.stages["a"], source.replies["a"].code) == ("rcpt", 550)
        assert server.messages == [b"", CONTENT]

    async def test_data_granted_though_the_sender_was_refused_never_gets_an_empty_message(self) -> None:
        script = (
            opening()
            + """
            C: MAIL FROM:<b-a*
            S: 503 5.5.1 nested MAIL command
            C: RCPT TO:<a@*
            S: 250 2.1.5 Ok
            C: DATA
            S: 354 go ahead
            EOF
        """
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates == {"a": "refused"}
        assert ending.reason == "protocol"

    async def test_a_refusal_read_before_the_drop_counts(self) -> None:
        script = opening() + "C: MAIL FROM:<*\nS: 250 Ok\nC: RCPT TO:<*\nS: 550 5.1.1 no\nC: DATA\n"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused"}
        assert source.replies["a"].enhanced == "5.1.1"

    async def test_one_reply_too_many_ends_the_session(self) -> None:
        script = opening() + transaction("a") + "S: 250 2.0.0 and once more\nWAIT over"
        source = RecordingSource([letter("a")], endless=True)
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates == {"a": "accepted"}
        assert ending.reason == "protocol"


class TestVerdicts:
    """The server's words end in the right verdict, whatever stage they came at (RFC 3463)."""

    @pytest.mark.parametrize(
        ("stage", "reply", "outcome", "cause", "hard"),
        [
            ("MAIL", "451 4.7.1 Greylisted, try again in 5 minutes", "deferred", "greylisted", False),
            ("MAIL", "452 4.3.1 Insufficient system storage", "deferred", "server", False),
            ("MAIL", "553 5.1.8 Sender domain does not exist", "rejected", "sender", False),
            ("RCPT", "450 4.2.0 Greylisted, see http://postgrey.test/help", "deferred", "greylisted", False),
            ("RCPT", "450 4.1.1 User unknown for now", "deferred", "recipient", False),
            ("RCPT", "452 4.2.2 Mailbox full", "deferred", "mailbox_full", False),
            ("RCPT", "552 5.2.2 Mailbox full", "rejected", "mailbox_full", False),
            ("RCPT", "550 5.1.1 No such user", "rejected", "recipient", True),
            ("DATA", "451 4.3.0 Temporary lookup failure", "deferred", "server", False),
            ("final", "552 5.2.2 Over quota", "rejected", "mailbox_full", False),
            ("final", "554 5.7.1 Message rejected as spam", "rejected", "content", False),
            ("final", "550 5.1.1 No such user after all", "rejected", "recipient", True),
            ("final", "451 4.7.1 Try again later", "deferred", None, False),
            ("final", "421 4.3.2 Service shutting down", "deferred", "server", False),
        ],
    )
    async def test_verdict(self, stage: str, reply: str, outcome: str, cause: str | None, hard: bool) -> None:
        source = RecordingSource([letter("a")])
        script = _refusing("a", stage, reply) + ("" if reply.startswith("421") else QUIT)
        async with ScriptedSmtp(opening(*PLAIN) + script) as server:
            await deliver(server, source)
        verdict = judge(source.replies["a"], source.stages["a"])
        assert (verdict.outcome, verdict.hard) == (outcome, hard)
        assert cause in (None, verdict.cause)


def _refusing(name: str, stage: str, reply: str) -> str:
    """A transaction, step by step, that goes well up to `stage`."""
    if stage == "final":
        return transaction(name, reply)
    before, command, _ = envelope(name).partition(f"C: {stage}")
    return f"{before}{command}*\nS: {reply}\n"


class TestParameters:
    async def test_size_and_return_path(self) -> None:
        script = opening("PIPELINING", "SIZE") + f"C: MAIL FROM:<> SIZE={len(CONTENT)}\n"
        script += transaction().split("\n", 2)[2] + QUIT
        source = RecordingSource([Envelope("", "a@example.test", CONTENT, "a")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted"}

    async def test_pipelining_can_be_switched_off(self) -> None:
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(opening() + transaction("a") + transaction("b") + QUIT) as server:
            session = await open_session(endpoint(server, pipelining=False))
            await session.run(source)
            await session.close()
        assert not session.capabilities.pipelining
        assert source.fates == {"a": "accepted", "b": "accepted"}

    async def test_nothing_is_added_where_nothing_is_offered(self) -> None:
        script = opening("-") + "C: MAIL FROM:<b-a@bounce.test>\n" + transaction().split("\n", 2)[2] + QUIT
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted"}

    async def test_eight_bit_and_utf8(self) -> None:
        content = "Subject: grüße\r\n\r\nжурнал\r\n".encode()
        first = f"C: MAIL FROM:<b@x.test> SIZE={len(content)} BODY=8BITMIME SMTPUTF8\n"
        script = opening() + first + transaction("用户@").split("\n", 2)[2] + QUIT
        source = RecordingSource([Envelope("b@x.test", "用户@example.test", content, "a", smtputf8=True)])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted"}
        assert server.messages == [content]

    @pytest.mark.parametrize(
        ("message", "stage", "code", "enhanced"),
        [
            (Envelope("b@x.test", "a@x.test", b"x" * 3000 + b"\r\n", "a"), "mail", 552, "5.3.4"),
            (Envelope("b@x.test", "用户@x.test", CONTENT, "a"), "rcpt", 553, "5.6.7"),
            (Envelope("b@x.test", "a@x.test", CONTENT, "a", smtputf8=True), "rcpt", 553, "5.6.7"),
            (Envelope("b@x.test", "a@x.test", "ü\r\n".encode(), "a"), "mail", 554, "5.6.3"),
            (Envelope("b@x.test", "a@x.test", b"x\n.\nMAIL FROM:<c@x.test>\r\n", "a"), "final", 554, "5.6.0"),
            (Envelope("b@x.test", "a@x.test", b"x\r\n.\rQUIT\r\n", "a"), "final", 554, "5.6.0"),
            (Envelope("b@x.test", "a@x.test>\r\nRCPT TO:<c@x.test", CONTENT, "a"), "rcpt", 501, "5.1.3"),
            (Envelope("b@x.test> SIZE=1", "a@x.test", CONTENT, "a"), "mail", 501, "5.1.7"),
            (Envelope("b@x.test", "", CONTENT, "a"), "rcpt", 501, "5.1.3"),
        ],
    )
    async def test_what_cannot_be_sent_is_refused_here(
        self, message: Envelope, stage: str, code: int, enhanced: str
    ) -> None:
        script = opening("PIPELINING", "SIZE 2000") + transaction("next") + QUIT
        source = RecordingSource([message, letter("next")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "next": "accepted"}
        reply = source.replies["a"]
        assert (source.stages["a"], reply.code, reply.enhanced) == (stage, code, enhanced)

    async def test_quoted_local_part(self) -> None:
        script = opening() + transaction('"odd > one"@') + QUIT
        source = RecordingSource([Envelope("b@x.test", '"odd > one"@x.test', CONTENT, "a")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted"}
