"""The promise of a session, against servers that fail at random: our ledger and theirs never disagree."""

from random import Random

import pytest

from mailengine.domain.delivery.smtp import ConnectFailed, Endpoint, open_session
from peers.chaotic_smtp import ChaoticSmtp
from peers.recording_source import RecordingSource, letter

pytestmark = pytest.mark.anyio


async def _send_all(server: ChaoticSmtp, source: RecordingSource, random: Random) -> int:
    """Reconnect until nothing is left; returns the number of sessions that ended in doubt."""
    endpoint = Endpoint(
        "127.0.0.1", server.port, tls="none", helo="client.test", pipelining=random.random() < 0.8,
        command_timeout_seconds=5, data_timeout_seconds=5,
    )  # fmt: skip
    in_doubt = 0
    while await source.wait():
        try:
            session = await open_session(endpoint)
        except ConnectFailed:
            continue
        before = len(source.reasons)
        await session.run(source)
        await session.close()
        assert not source.open
        assert len(source.reasons) - before <= 1, "more than one in doubt on one connection"
        in_doubt += len(source.reasons) > before
    return in_doubt


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("mischief", [0.02, 0.2])
@pytest.mark.parametrize("seed", range(10))
async def test_ledgers_agree(seed: int, mischief: float, pipelining: bool) -> None:
    random = Random(f"{seed} {mischief} {pipelining}")
    names = [f"n{i}" for i in range(60)]
    contents = [b"some text\r\n" * random.choice((0, 1, 500, 10_000)) for _ in names]
    source = RecordingSource([letter(*pair) for pair in zip(names, contents, strict=True)])
    async with ChaoticSmtp(random, pipelining=pipelining, mischief=mischief) as server:
        in_doubt = await _send_all(server, source, random)

    def those(fate: str) -> set[object]:
        return {ref for ref, happened in source.fates.items() if happened == fate}

    assert set(source.fates) == set(names)
    assert len(server.completed) == len(set(server.completed))
    assert those("accepted") <= set(server.confirmed), "accepted, but the server never said so"
    assert set(server.confirmed) <= those("accepted") | those("doubtful"), (
        "the server has it, we would resend"
    )
    assert not those("unsent") & set(server.completed), "said to be unsent, but the server got it"
    assert len(those("doubtful")) == in_doubt
