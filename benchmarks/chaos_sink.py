"""`python -m benchmarks.chaos_sink`: the counting sink whose mood changes while it serves.

It reads chances (of `peers.counting_sink`) from the JSON file MOOD at its start and on SIGUSR1, and writes a line
to DROPS for each connection that it drops: each may put one message in doubt, which is how many may be. An address
whose number divides by 250 does not exist here: 550, for good.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
from pathlib import Path

import uvloop

from peers.counting_sink import CHANCES, Connection, Sink, address
from peers.ports import LOOPBACK

NUMBER = re.compile(r"(\d+)@")
UNKNOWN_EVERY = 250


def exists(recipient: str) -> bool:
    """Whether this server has a mailbox for the address."""
    found = NUMBER.search(recipient)
    return found is None or int(found[1]) % UNKNOWN_EVERY != 0


class MoodySink(Sink):
    """`chance` is replaced by what the mood file says."""

    mood: Path
    drops: int

    def read_mood(self) -> None:
        self.chance = dict.fromkeys(CHANCES, 0.0) | json.loads(self.mood.read_text())

    def happens(self, name: str) -> bool:
        happened = super().happens(name)
        if happened and name.startswith("drop_"):
            os.write(self.drops, f"{name}\n".encode())
        return happened


class MoodyConnection(Connection):
    def do_rcpt(self, line: bytes) -> None:
        if exists(address(line)):
            super().do_rcpt(line)
        else:
            self.replies.append(b"550 5.1.1 No such mailbox\r\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    for name in ("log", "mood", "drops"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


async def serve(options: argparse.Namespace) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    sink = MoodySink(appending(options.log), options.delay_ms / 1000, {}, random.Random(options.seed))
    sink.mood, sink.drops = options.mood, appending(options.drops)
    sink.read_mood()
    loop.add_signal_handler(signal.SIGUSR1, sink.read_mood)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: MoodyConnection(sink), LOOPBACK, options.port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    for connection in list(sink.open):
        connection.transport.abort()


if __name__ == "__main__":
    uvloop.run(serve(arguments()))
