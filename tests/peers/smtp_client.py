"""How the SMTP tests open sessions to a scripted server and send to it."""

from dataclasses import replace

import pytest

from mailengine.core.errors import Unavailable
from mailengine.domain.delivery.smtp import ConnectFailed, Ending, Endpoint, open_session
from peers.recording_source import RecordingSource
from peers.scripted_smtp import ScriptedSmtp


def endpoint(server: ScriptedSmtp, **changes: object) -> Endpoint:
    plain = Endpoint("127.0.0.1", server.port, tls="none", helo="client.test", command_timeout_seconds=5)
    return replace(plain, **changes)  # type: ignore[arg-type]


async def failure(server: ScriptedSmtp, **changes: object) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await open_session(endpoint(server, **changes))
    assert isinstance(caught.value, Unavailable)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    return caught.value


async def deliver(server: ScriptedSmtp, source: RecordingSource, **changes: object) -> Ending:
    """One session from opening to close; everything taken must be settled when run returns."""
    session = await open_session(endpoint(server, **changes))
    try:
        ending = await session.run(source)
        assert not source.open
    finally:
        await session.close()
    await server.finished()
    assert server.mismatches == []
    return ending
