"""Sessions over time: waiting, quitting, cancelling, servers that stop reading, sources that fail."""

import asyncio

import pytest

from mailengine.domain.delivery.smtp import Envelope, open_session
from peers.recording_source import RecordingSource, letter
from peers.scripted_smtp import QUIT, ScriptedSmtp, envelope, opening, transaction
from peers.smtp_client import endpoint

pytestmark = pytest.mark.anyio

LARGE = b"x" * 998 + b"\r\n"
# More than the kernel's send and receive buffers hold together on the loopback.
HUGE = LARGE * 20_000


async def test_waits_for_more_and_goes_on() -> None:
    source = RecordingSource([letter("a")], endless=True)
    async with ScriptedSmtp(opening() + transaction("a") + transaction("b") + QUIT) as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        await source.waiting.wait()
        source.add(letter("b"))
        source.finish()
        ending = await running
        await session.close()
        await server.finished()
    assert ending.reason == "drained"
    assert source.fates == {"a": "accepted", "b": "accepted"}
    assert session.sent_count == 2
    assert server.mismatches == []


async def test_runs_again_on_the_same_connection() -> None:
    first, second = RecordingSource([letter("a")]), RecordingSource([letter("b")])
    async with ScriptedSmtp(opening() + transaction("a") + transaction("b") + QUIT) as server:
        session = await open_session(endpoint(server))
        await session.run(first)
        await session.run(second)
        await session.close()
        await server.finished()
    assert (first.fates, second.fates) == ({"a": "accepted"}, {"b": "accepted"})
    assert server.connections == 1
    assert server.mismatches == []


async def test_idle_connection_that_goes_away_ends_the_run() -> None:
    source = RecordingSource([letter("a")], endless=True)
    script = opening() + transaction("a") + "WAIT idle\nS: 421 4.4.2 idle too long\n"
    async with ScriptedSmtp(script) as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        await source.waiting.wait()
        server.event("idle").set()
        ending = await running
        await session.close()
    assert ending.reason == "closing"
    assert source.fates == {"a": "accepted"}


async def test_quit_finishes_what_is_in_hand() -> None:
    source = RecordingSource([letter("a"), letter("b")])
    script = opening() + envelope("a") + "DATA\nWAIT quit\nS: 250 2.0.0 queued\n"
    script += envelope("b") + "DATA\nS: 250 2.0.0 queued\n" + QUIT
    async with ScriptedSmtp(script) as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        while not source.journal:
            await asyncio.sleep(0)
        session.quit()
        source.add(letter("c"))
        server.event("quit").set()
        ending = await running
        await session.close()
        await server.finished()
    assert ending.reason == "drained"
    assert source.fates == {"a": "accepted", "b": "accepted"}
    assert server.mismatches == []


async def test_quit_ends_the_waiting() -> None:
    source = RecordingSource([letter("a")], endless=True)
    async with ScriptedSmtp(opening() + transaction("a") + QUIT) as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        await source.waiting.wait()
        session.quit()
        assert (await running).reason == "drained"
        await session.close()
        await server.finished()
    assert server.mismatches == []


async def test_cancelling_settles_everything() -> None:
    source = RecordingSource([letter("a"), letter("b"), letter("c")])
    async with ScriptedSmtp(opening() + envelope("a") + "DATA\nWAIT over") as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        while not source.journal:
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not source.open
        server.event("over").set()
        await session.close()
    assert source.fates == {"a": "doubtful", "b": "unsent"}


async def test_cancelling_an_idle_session_leaves_nothing_behind() -> None:
    source = RecordingSource(endless=True)
    async with ScriptedSmtp(opening() + "EOF") as server:
        session = await open_session(endpoint(server))
        running = asyncio.ensure_future(session.run(source))
        await source.waiting.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await session.close()
        await server.finished()
    assert source.fates == {}
    assert server.mismatches == []


async def test_server_that_stops_reading_a_large_message_leaves_it_unsent() -> None:
    source = RecordingSource([letter("a", HUGE), letter("b")])
    async with ScriptedSmtp(opening("PIPELINING") + envelope("a") + "STALL") as server:
        session = await open_session(endpoint(server, data_timeout_seconds=0.3))
        ending = await session.run(source)
        server.event("client gone").set()
        await session.close()
    assert ending.detail == "timed out waiting for the server to read a message"
    assert source.fates == {"a": "unsent"}


async def test_slow_reader_of_a_large_message_is_not_timed_out() -> None:
    source = RecordingSource([letter("a", HUGE)])
    slow = "".join(f"BODY 4000000\nWAIT tick {i}\n" for i in range(3))
    async with ScriptedSmtp(
        opening("PIPELINING") + envelope("a") + slow + "DATA\nS: 250 Ok\n" + QUIT
    ) as server:
        session = await open_session(endpoint(server, data_timeout_seconds=1.0))
        running = asyncio.ensure_future(session.run(source))
        for i in range(3):
            await asyncio.sleep(0.6)  # the passing of time is what is tested
            server.event(f"tick {i}").set()
        ending = await running
        await session.close()
        await server.finished()
    assert ending.reason == "drained"
    assert source.fates == {"a": "accepted"}
    assert server.mismatches == []


async def test_large_messages_go_through() -> None:
    content = LARGE * 3000
    source = RecordingSource([letter("a", content), letter("b"), letter("c", content)])
    script = opening("PIPELINING") + transaction("a") + transaction("b") + transaction("c") + QUIT
    async with ScriptedSmtp(script) as server:
        session = await open_session(endpoint(server))
        await session.run(source)
        await session.close()
        await server.finished()
    assert source.fates == dict.fromkeys("abc", "accepted")
    assert server.messages[0] == server.messages[2] == content
    assert server.mismatches == []


@pytest.mark.parametrize(
    ("reply", "fate"), [("552 5.3.4 message too big", "refused"), ("421 4.3.2 going down", "unsent")]
)
async def test_reply_in_the_middle_of_a_large_message(reply: str, fate: str) -> None:
    source = RecordingSource([letter("a", HUGE)])
    async with ScriptedSmtp(
        opening("PIPELINING") + envelope("a") + f"BODY 5000\nS: {reply}\nSTALL"
    ) as server:
        session = await open_session(endpoint(server))
        ending = await session.run(source)
        server.event("client gone").set()
        await session.close()
    assert source.fates == {"a": fate}
    assert ending.reason == "closing"


class _Failing(RecordingSource):
    """Raises from the named call for the named envelope, as a full disk or a lost database would."""

    failing: tuple[str, str] = ("", "")

    def next(self) -> Envelope | None:
        self._fail("next", str(len(self._taken)))
        return super().next()

    def on_wire(self, envelope: Envelope) -> None:
        self._fail("on_wire", str(envelope.ref))
        super().on_wire(envelope)

    def accepted(self, envelope: Envelope, reply: object) -> None:
        super().accepted(envelope, reply)  # type: ignore[arg-type]
        self._fail("accepted", str(envelope.ref))

    def _fail(self, call: str, ref: str) -> None:
        if self.failing == (call, ref):
            raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("failing", "fates"),
    [
        (("next", "0"), {}),
        (("next", "1"), {"a": "unsent"}),
        (("next", "2"), {"a": "accepted", "b": "unsent"}),
        (("on_wire", "a"), {"a": "unsent", "b": "unsent"}),
        (("on_wire", "b"), {"a": "accepted", "b": "unsent", "c": "unsent"}),
        (("accepted", "a"), {"a": "accepted", "b": "unsent"}),
    ],
)
async def test_a_source_that_raises_ends_the_session(
    failing: tuple[str, str], fates: dict[object, str]
) -> None:
    source = _Failing([letter("a"), letter("b"), letter("c")])
    source.failing = failing
    async with ScriptedSmtp(opening() + transaction("a") + transaction("b") + transaction("c")) as server:
        session = await open_session(endpoint(server))
        with pytest.raises(OSError, match="no space left"):
            await session.run(source)
        assert session.ending is not None
        await session.close()
    assert source.fates == fates
    assert not source.open
