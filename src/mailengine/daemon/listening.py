"""The socket people connect to, and the file that tells other faces where it is."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable

_BACKLOG = 2048


def bind(settings: Settings) -> tuple[socket.socket, Settings]:
    """Listen at once, so that a taken port is known before anything else is done; the settings that come back
    name the port that port 0 became."""
    host, port = settings.web.host, settings.web.port
    try:
        family, _type, _protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise Unavailable(_explained(error, host, port)) from error
    bound = int(listener.getsockname()[1])
    return listener, settings.model_copy(update={"web": settings.web.model_copy(update={"port": bound})})


def _explained(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use, perhaps by another daemon; stop it or choose another --port"
    return f"cannot listen on {host}:{port}: {error.strerror}; check --host and --port"


def url_of(settings: Settings) -> str:
    """Where the daemon answers on this machine; what people outside use is `base_url`."""
    host = settings.web.host
    local = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{local}]:{settings.web.port}" if ":" in local else f"http://{local}:{settings.web.port}"


@contextmanager
def announced(settings: Settings, started: datetime) -> Iterator[None]:
    """`daemon.json` in the data directory, while this process serves."""
    path = settings.data_dir / "daemon.json"
    facts = {"pid": os.getpid(), "url": url_of(settings), "started": started.isoformat()}
    draft = path.with_name(f"daemon.json.{os.getpid()}")
    draft.write_text(json.dumps(facts) + "\n")
    draft.replace(path)
    try:
        yield
    finally:
        if _owner(path) == os.getpid():
            path.unlink(missing_ok=True)


def _owner(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None
