"""TLS between servers that have agreed on nothing (RFC 7435): used where it works, never in the way."""

from dataclasses import replace

import pytest

from mailengine.core.errors import InvalidInput
from mailengine.domain.delivery.smtp import Endpoint, open_session, probe
from peers.certificates import Authority
from peers.recording_source import RecordingSource, letter
from peers.scripted_smtp import QUIT, ScriptedSmtp, opening, transaction
from peers.smtp_client import deliver, endpoint, failure

pytestmark = pytest.mark.anyio

OFFERED = "S: 220 x\nC: EHLO *\nS: 250-x\nS: 250 STARTTLS\nC: STARTTLS\n"
SECURED = OFFERED + "S: 220 go\nTLS\n"
AFTER_TLS = opening().split("\n", 1)[1] + transaction("a") + QUIT
IN_CLEAR = opening("STARTTLS", "PIPELINING") + transaction("a") + QUIT


async def test_a_certificate_for_another_name_is_good_enough(authority: Authority) -> None:
    context = authority.server_context("other.test", expired=True)
    source = RecordingSource([letter("a")])
    async with ScriptedSmtp(SECURED + AFTER_TLS, tls=context) as server:
        session = await open_session(endpoint(server, tls="opportunistic"))
        await session.run(source)
        await session.close()
        await server.finished()
    assert source.fates == {"a": "accepted"}
    assert (session.capabilities.tls_version or "").startswith("TLSv1.")
    assert server.connections == 1
    assert server.mismatches == []


async def test_in_clear_where_it_is_not_offered() -> None:
    source = RecordingSource([letter("a")])
    async with ScriptedSmtp(opening() + transaction("a") + QUIT) as server:
        await deliver(server, source, tls="opportunistic")
    assert source.fates == {"a": "accepted"}


@pytest.mark.parametrize(
    "broken",
    [
        OFFERED + "S: 454 4.7.0 TLS not available\nEOF",
        OFFERED + "S: 220 go\nBODY 5\nRAW: this is not TLS\\r\\n",
        OFFERED + "RESET",
        SECURED + "RESET",
    ],
    ids=["refused", "no handshake", "reset", "reset after the handshake"],
)
async def test_in_clear_on_a_new_connection_where_it_fails(authority: Authority, broken: str) -> None:
    context = authority.server_context("127.0.0.1")
    source = RecordingSource([letter("a")])
    async with ScriptedSmtp(broken, IN_CLEAR, tls=context) as server:
        session = await open_session(endpoint(server, tls="opportunistic"))
        await session.run(source)
        await session.close()
        await server.finished()
    assert source.fates == {"a": "accepted"}
    assert session.capabilities.tls_version is None
    assert server.connections == 2


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ("S: 554 5.7.1 go away", "greeting"),
        ("S: 220 x\nC: EHLO *\nS: 450 4.3.2 busy", "ehlo"),
        (SECURED + "C: EHLO *\nS: 450 4.3.2 busy", "ehlo"),
    ],
    ids=["greeting", "ehlo", "ehlo under TLS"],
)
async def test_what_is_no_failure_of_tls_is_not_tried_again(
    authority: Authority, script: str, stage: str
) -> None:
    async with ScriptedSmtp(script, IN_CLEAR, tls=authority.server_context("127.0.0.1")) as server:
        failed = await failure(server, tls="opportunistic")
    assert failed.stage == stage
    assert server.connections == 1


async def test_one_new_connection_and_no_more() -> None:
    broken = OFFERED + "S: 454 4.7.0 TLS not available\nEOF"
    async with ScriptedSmtp(broken, "S: 421 4.3.2 too many connections", IN_CLEAR) as server:
        failed = await failure(server, tls="opportunistic")
    assert failed.stage == "greeting"
    assert server.connections == 2


async def test_required_tls_is_never_given_up(authority: Authority) -> None:
    broken = OFFERED + "S: 454 4.7.0 TLS not available\nEOF"
    async with ScriptedSmtp(broken, IN_CLEAR) as server:
        failed = await failure(server, tls="starttls", ca_file=authority.ca_file)
    assert failed.stage == "tls"
    assert server.connections == 1


def test_never_with_a_password() -> None:
    with pytest.raises(InvalidInput, match="no protection for a password"):
        Endpoint("mx.test", 25, tls="opportunistic", username="ann", password="x")


async def test_probe_says_what_protects() -> None:
    async with ScriptedSmtp(opening() + QUIT) as server:
        report = await probe(endpoint(server, tls="opportunistic"))
    assert report.ok
    assert ("tls", True, "the server offers no TLS: not encrypted") in report.steps


class TestAddresses:
    async def test_the_name_is_verified_and_not_looked_up(self, authority: Authority) -> None:
        context = authority.server_context("mx.nowhere.test")
        async with ScriptedSmtp(SECURED + opening().split("\n", 1)[1] + QUIT, tls=context) as server:
            target = replace(
                endpoint(server, tls="starttls", ca_file=authority.ca_file),
                host="mx.nowhere.test",
                addresses=("127.0.0.1",),
            )
            session = await open_session(target)
            await session.close()
        assert session.where == f"mx.nowhere.test:{server.port}"

    async def test_the_next_is_tried(self) -> None:
        async with ScriptedSmtp(opening() + QUIT) as server:
            session = await open_session(endpoint(server, addresses=("::1", "127.0.0.1")))
            await session.close()
        assert server.connections == 1

    async def test_without_any(self) -> None:
        async with ScriptedSmtp(opening()) as server:
            failed = await failure(server, addresses=())
        assert failed.stage == "connect"

    def test_must_be_addresses(self) -> None:
        with pytest.raises(InvalidInput, match="is not an IP address"):
            Endpoint("mx.test", 25, addresses=("mx.test",))
