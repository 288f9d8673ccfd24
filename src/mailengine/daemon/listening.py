"""The socket people connect to, and the file that tells other faces where it is."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable

_BACKLOG = 2048


def bind(settings: Settings) -> tuple[socket.socket, Settings]:
    """Listen at once, so that a taken port is known before anything else is done; the settings that come back
    name the port that port 0 became."""
    listener = _listen(settings.web.host, settings.web.port, "--port")
    bound = int(listener.getsockname()[1])
    return listener, settings.model_copy(update={"web": settings.web.model_copy(update={"port": bound})})


def bind_health(settings: Settings) -> tuple[socket.socket, Settings]:
    """The same for the health port."""
    assert settings.health.port is not None
    listener = _listen(settings.health.host, settings.health.port, "health.port")
    bound = int(listener.getsockname()[1])
    return listener, settings.model_copy(
        update={"health": settings.health.model_copy(update={"port": bound})}
    )


def _listen(host: str, port: int, setting: str) -> socket.socket:
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
        raise Unavailable(_explained(error, host, port, setting)) from error
    return listener


def _explained(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use, perhaps by another daemon; stop it or choose another {setting}"
    return f"cannot listen on {host}:{port}: {error.strerror}; check {setting} and its host"


def url_of(settings: Settings) -> str:
    """Where the daemon answers on this machine; what people outside use is `base_url`."""
    return local_url(settings.web.host, settings.web.port)


def local_url(host: str, port: int) -> str:
    """Where this machine reaches what listens there."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


@contextmanager
def announced(settings: Settings, started: datetime, *, serves: bool) -> Iterator[None]:
    """`daemon.json` in the data directory, while this process serves; `health.json` while its health port is open."""
    with ExitStack() as files:
        if settings.health.port is not None:
            facts = {"url": local_url(settings.health.host, settings.health.port)}
            files.enter_context(_told(settings.data_dir / "health.json", facts))
        if serves:  # last: who has read it finds the other one too
            facts = {"url": url_of(settings), "started": started.isoformat()}
            files.enter_context(_told(settings.data_dir / "daemon.json", facts))
        yield


@contextmanager
def _told(path: Path, facts: dict[str, str]) -> Iterator[None]:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"pid": os.getpid(), **facts}) + "\n")
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
