"""Mail transactions against scripted servers: what each reply, and each silence, makes of a message."""

import pytest

from mailengine.domain.delivery.smtp import open_session
from peers.recording_source import CONTENT, RecordingSource, letter
from peers.scripted_smtp import ALL, PLAIN, QUIT, RESET, ScriptedSmtp, envelope, opening, transaction
from peers.smtp_client import deliver, endpoint

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("extensions", [ALL, PLAIN], ids=["pipelined", "one by one"])
class TestBothWays:
    """The same dialogue has the same outcome with and without PIPELINING."""

    async def test_accepts_several_on_one_connection(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + transaction("a") + transaction("b") + transaction("c") + QUIT
        source = RecordingSource([letter("a"), letter("b"), letter("c")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert ending.reason == "drained"
        assert source.fates == dict.fromkeys("abc", "accepted")
        assert server.messages == [CONTENT] * 3

    @pytest.mark.parametrize("reply", ["450 4.7.1 greylisted, try later", "553 5.1.8 sender domain unknown"])
    async def test_refused_sender(self, extensions: tuple[str, ...], reply: str) -> None:
        rest = "C: RCPT TO:*\nS: 503 5.5.1 need MAIL\nC: DATA\nS: 503 5.5.1 need MAIL\n"
        rest = rest if extensions is ALL else ""
        script = (
            opening(*extensions) + f"C: MAIL FROM:<b-a*\nS: {reply}\n{rest}" + RESET + transaction("b") + QUIT
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "b": "accepted"}
        assert (source.stages["a"], source.replies["a"].code) == ("mail", int(reply[:3]))

    @pytest.mark.parametrize(
        "reply",
        [
            "450 4.2.0 greylisted",
            "452 4.2.2 mailbox full",
            "552 5.2.2 mailbox full",
            "550 5.1.1 no such user",
        ],
    )
    async def test_refused_recipient_then_reset(self, extensions: tuple[str, ...], reply: str) -> None:
        rest = "C: DATA\nS: 554 5.5.1 no valid recipients\n" if extensions is ALL else ""
        script = (
            opening(*extensions)
            + f"""
            C: MAIL FROM:<b-a*
            S: 250 2.1.0 Ok
            C: RCPT TO:<a@*
            S: {reply}
            {rest}
        """
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script + RESET + transaction("b") + QUIT) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "b": "accepted"}
        assert (source.stages["a"], source.replies["a"].code) == ("rcpt", int(reply[:3]))
        assert source.replies["a"].enhanced == reply[4:9]
        assert source.journal == ["b"]

    @pytest.mark.parametrize("reply", ["451 4.3.0 try again", "554 5.7.1 not from you"])
    async def test_refused_data(self, extensions: tuple[str, ...], reply: str) -> None:
        refused = envelope("a").replace("354 go ahead", reply)
        script = opening(*extensions) + refused + RESET + transaction("b") + QUIT
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "b": "accepted"}
        assert (source.stages["a"], source.replies["a"].code) == ("data", int(reply[:3]))

    @pytest.mark.parametrize("reply", ["451 4.7.1 greylisted", "550 5.7.1 spam", "552 5.2.2 over quota"])
    async def test_refused_after_content(self, extensions: tuple[str, ...], reply: str) -> None:
        script = opening(*extensions) + transaction("a", reply) + transaction("b") + QUIT
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "refused", "b": "accepted"}
        assert (source.stages["a"], source.replies["a"].code) == ("final", int(reply[:3]))

    async def test_closing_in_place_of_the_final_reply_refuses_for_now(
        self, extensions: tuple[str, ...]
    ) -> None:
        script = opening(*extensions) + transaction("a", "421 4.3.2 shutting down")
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates["a"] == "refused"
        assert source.replies["a"].code == 421
        assert source.fates.get("b", "unsent") == "unsent"
        assert (ending.reason, ending.reply and ending.reply.code) == ("closing", 421)

    @pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
    async def test_closing_before_content_leaves_it_unsent(
        self, extensions: tuple[str, ...], stage: str
    ) -> None:
        steps = envelope("a").split("C: ")
        cut = next(i for i, step in enumerate(steps) if step.startswith(stage))
        command = steps[cut].splitlines()[0]
        script = opening(*extensions) + "C: ".join(steps[:cut]) + f"C: {command}\nS: 421 4.7.0 too many\n"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates == {"a": "unsent"}
        assert ending.reason == "closing"

    async def test_dropped_before_content_leaves_it_unsent(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + transaction("a") + "C: MAIL FROM:<b-b*\nRESET"
        source = RecordingSource([letter("a"), letter("b"), letter("c")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        # The reset may overtake the reply to "a": then nobody can know.
        assert source.fates.pop("a") in {"accepted", "doubtful"}
        assert source.fates == {"b": "unsent"} or source.fates == {}
        assert ending.reason == "dropped"

    async def test_dropped_before_the_final_reply_is_doubtful(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + transaction("a") + envelope("b") + "DATA\nRESET"
        source = RecordingSource([letter("a"), letter("b"), letter("c")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates.pop("c", "unsent") == "unsent"
        assert source.fates == {"a": "accepted", "b": "doubtful"}
        assert ending.reason == "dropped"
        assert source.reasons["b"] == ending.detail

    async def test_dropped_after_the_final_reply_is_accepted(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + transaction("a")
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates.pop("b", "unsent") == "unsent"
        assert source.fates == {"a": "accepted"}
        assert ending.reason == "dropped"

    async def test_half_a_final_reply_is_no_reply(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + envelope("a") + "DATA\nRAW: 250 2.0.0 queued as 12"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert source.fates == {"a": "doubtful"}

    async def test_slow_multiline_and_split_replies(self, extensions: tuple[str, ...]) -> None:
        script = (
            opening(*extensions)
            + """
            C: MAIL FROM:<*
            DRIP: 250-2.1.0 first
            DRIP: 250-2.1.0 second
            DRIP: 250 2.1.0 Ok
            C: RCPT TO:<*
            DRIP: 250 2.1.5 Ok
            C: DATA
            DRIP: 354-go
            DRIP: 354 ahead
            DATA
            DRIP: 250-2.0.0 thank you
            DRIP: 250 2.0.0 queued as 7
        """
        )
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script + transaction("b") + QUIT) as server:
            await deliver(server, source)
        assert source.fates == {"a": "accepted", "b": "accepted"}
        assert "queued as 7" in source.replies["a"].text

    @pytest.mark.parametrize(
        "garbage", ["hello?", "25x 2.0.0 Ok", "999 beyond", "250-one\\r\\n550 other code"]
    )
    async def test_garbage_in_place_of_the_final_reply_is_doubtful(
        self, extensions: tuple[str, ...], garbage: str
    ) -> None:
        script = opening(*extensions) + envelope("a") + f"DATA\nRAW: {garbage}\\r\\n\nEOF"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates == {"a": "doubtful"}
        assert ending.reason == "protocol"

    async def test_reply_smuggled_behind_a_bare_line_feed_is_not_believed(
        self, extensions: tuple[str, ...]
    ) -> None:
        smuggled = "RAW: 250-2.0.0 you said:\\n250 2.0.0 queued\\r\\n\nEOF"
        script = opening(*extensions) + envelope("a") + f"DATA\n{smuggled}"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            ending = await deliver(server, source)
        assert source.fates == {"a": "doubtful"}
        assert "bare LF" in ending.detail

    @pytest.mark.parametrize(
        "flood", ["RAW: 250 " + "x" * 5000, "\n".join(["S: 250-more"] * 200)], ids=["long line", "many lines"]
    )
    async def test_endless_reply_ends_the_session(self, extensions: tuple[str, ...], flood: str) -> None:
        script = opening(*extensions) + f"C: MAIL FROM:<*\n{flood}\nWAIT over"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates == {"a": "unsent"}
        assert ending.reason == "protocol"
        assert "too long" in ending.detail

    async def test_354_to_mail_is_out_of_step(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + "C: MAIL FROM:<*\nS: 354 go ahead\nWAIT over"
        source = RecordingSource([letter("a")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates == {"a": "unsent"}
        assert ending.detail == "354 is no answer to MAIL"

    async def test_reset_refused_ends_the_session(self, extensions: tuple[str, ...]) -> None:
        refused = envelope("a").replace("354 go ahead", "451 4.3.0 no")
        script = opening(*extensions) + refused + "C: RSET\nS: 502 5.5.1 no RSET here\nWAIT over"
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates == {"a": "refused", "b": "unsent"}
        assert ending.reason == "protocol"

    async def test_server_that_never_answers(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + transaction("a") + "C: MAIL FROM:<*\nWAIT over"
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server, command_timeout_seconds=0.2))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates == {"a": "accepted", "b": "unsent"}
        assert (ending.reason, ending.detail) == ("timeout", "timed out waiting for a reply to MAIL")

    async def test_server_that_never_gives_the_final_reply(self, extensions: tuple[str, ...]) -> None:
        script = opening(*extensions) + envelope("a") + "DATA\nWAIT over"
        source = RecordingSource([letter("a"), letter("b")])
        async with ScriptedSmtp(script) as server:
            session = await open_session(endpoint(server, data_timeout_seconds=0.2))
            ending = await session.run(source)
            server.event("over").set()
            await session.close()
        assert source.fates.pop("b", "unsent") == "unsent"
        assert source.fates == {"a": "doubtful"}
        assert ending.detail == "timed out waiting for a reply to the end of data"

    async def test_dots_are_stuffed(self, extensions: tuple[str, ...]) -> None:
        content = b".first\r\n\r\n..two\r\n.\r\nQUIT\r\nno end"
        source = RecordingSource([letter("a", content), letter("b", b"")])
        script = opening(*extensions) + transaction("a") + transaction("b") + QUIT
        async with ScriptedSmtp(script) as server:
            await deliver(server, source)
        assert server.messages == [content + b"\r\n", b""]
        assert source.fates == {"a": "accepted", "b": "accepted"}
