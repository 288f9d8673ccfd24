"""The supervisor: `serve` brings the database up to date, settles what dead workers left, and runs the roles.

Invariants: nothing is claimed before recovery has run; a role that fails is started again and takes no other
with it; after the first signal nothing new is begun, after the second nothing is waited for.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from mailengine import __version__
from mailengine.backup.upgrade import upgrade
from mailengine.core import log as logs
from mailengine.core.clock import SystemClock
from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.log import get_logger
from mailengine.daemon.handover import Orders
from mailengine.daemon.listening import announced, bind, bind_health, url_of
from mailengine.daemon.naming import own_name
from mailengine.daemon.notify import feed_watchdog, notify
from mailengine.daemon.nursery import Nursery
from mailengine.daemon.recovery import owner_of, settle_dead
from mailengine.daemon.restart import keep_running
from mailengine.daemon.roles import scheduler, worker
from mailengine.daemon.setup_link import offer_setup
from mailengine.db.engine import sqlite_path
from mailengine.runtime import Runtime, is_new, make_data_dir, open_runtime, require_installation
from mailengine.web.pulse import Pulse

_HTTP = {"web", "tracker"}  # hits come in by HTTP and wait in memory: one server for both

log = get_logger("daemon")


async def serve(
    settings: Settings, roles: frozenset[str], nursery: Nursery, *, with_stdin: bool = False
) -> None:
    """Run until SIGTERM or SIGINT, and `with_stdin` until standard input closes; raises MailengineError when
    the daemon cannot start or go on. With the web role, an empty place becomes a new installation."""
    logs.configure(settings.log, logs.daemon_log_file(settings, turns=True))
    if "web" in roles and await is_new(settings):
        make_data_dir(settings)
        log.warning("a new installation", data_dir=str(settings.data_dir))
    else:
        require_installation(settings)
    with ExitStack() as sockets:
        listener = health_listener = None
        if roles & _HTTP:
            listener, settings = bind(settings)
            sockets.enter_context(listener)
        if settings.health.port is not None:
            health_listener, settings = bind_health(settings)
            sockets.enter_context(health_listener)
        await _migrate(settings)
        while await _serve_once(settings, roles, nursery, listener, health_listener, with_stdin=with_stdin):
            log.info("starting again", reason="the base URL was changed")
    if nursery.lost:
        raise Unavailable("the process that forks the workers was killed: start the daemon again")
    log.info("stopped")


async def _migrate(settings: Settings) -> None:
    """To this version's schema, with a backup of what was there. PostgreSQL without pg_dump is migrated all the same:
    its operators have backups of their own."""

    def unsaved(reason: str) -> None:
        log.warning("the database gets a newer schema without a backup", words=reason)

    done = await upgrade(
        settings,
        now=SystemClock().now(),
        new=True,
        unsaved=None if sqlite_path(settings.database_url) is not None else unsaved,
    )
    if done.backup is not None:
        log.warning("the database has a newer schema now", backup=str(done.backup))


async def _serve_once(
    settings: Settings,
    roles: frozenset[str],
    nursery: Nursery,
    listener: socket.socket | None,
    health_listener: socket.socket | None,
    *,
    with_stdin: bool,
) -> bool:
    """Run all roles to their end; whether they are to start again with settings that were stored meanwhile. The
    listeners stay open: who connects in between waits a moment."""
    async with open_runtime(settings) as rt:
        if "web" in roles:
            await offer_setup(rt)
        return await _run(rt, roles, nursery, listener, health_listener, with_stdin=with_stdin)


async def _run(
    rt: Runtime,
    roles: frozenset[str],
    nursery: Nursery,
    listener: socket.socket | None,
    health_listener: socket.socket | None,
    *,
    with_stdin: bool,
) -> bool:
    stop, again, killed = asyncio.Event(), asyncio.Event(), worker.Killers()

    nursery.on_lost = stop.set

    def restart() -> None:
        again.set()
        stop.set()

    # Announced last: whoever reads that the daemon is there may send it a signal at once.
    with (
        _signals(stop, again, killed),
        _stdin(stop) if with_stdin else nullcontext(),
        announced(rt.settings, rt.clock.now(), serves=listener is not None),
    ):
        log.info(
            "started",
            version=__version__,
            database=make_url(rt.settings.database_url).get_backend_name(),
            roles=",".join(sorted(roles)),
            listening=url_of(rt.settings) if listener else None,
        )
        if "worker" in roles:
            if not await own_name(rt, stop):
                return again.is_set()
            await settle_dead(rt)
        parts = _parts(rt, roles, nursery, listener, health_listener, stop, killed, restart)
        async with asyncio.TaskGroup() as group:
            for name, run in parts.items():
                group.create_task(keep_running(name, run, stop), name=name)
            group.create_task(feed_watchdog(stop))
            notify("READY=1", f"STATUS=roles: {', '.join(sorted(roles))}")
            await stop.wait()
            if not again.is_set():
                notify("STOPPING=1", "STATUS=waiting for replies to what is on the wire")
    return again.is_set()


def _parts(
    rt: Runtime,
    roles: frozenset[str],
    nursery: Nursery,
    listener: socket.socket | None,
    health_listener: socket.socket | None,
    stop: asyncio.Event,
    killed: worker.Killers,
    restart: Callable[[], None],
) -> dict[str, Callable[[], Awaitable[None]]]:
    """What runs side by side."""
    parts: dict[str, Callable[[], Awaitable[None]]] = {}
    pulse = Pulse(roles)
    if listener is not None:
        # Deferred: a machine that only sends need not load a web framework (30 MB, a third of its start).
        from mailengine.daemon.roles import web

        parts["web"] = partial(web.run, rt, stop, listener=listener, pulse=pulse, restart=restart)
    if health_listener is not None:
        from mailengine.daemon.roles import health  # deferred, as above: uvicorn

        parts["health"] = partial(health.run, rt, stop, listener=health_listener, pulse=pulse)
    if "scheduler" in roles:
        parts["scheduler"] = partial(scheduler.run, rt, stop)
    if "worker" in roles:
        parts["worker"] = partial(
            worker.run, rt, stop, nursery=nursery, orders=_orders(rt), killed=killed, pulse=pulse
        )
    return parts


def _orders(rt: Runtime) -> Orders:
    """What workers are told: the settings, with the secret in them wherever it came from."""
    settings = rt.settings.model_copy(update={"secret_key": SecretStr(rt.keyring.text())})
    return Orders(settings, owner_of(rt))


@contextmanager
def _signals(stop: asyncio.Event, again: asyncio.Event, killed: worker.Killers) -> Iterator[None]:
    """The first signal asks for an orderly end, the second one ends at once."""
    loop = asyncio.get_running_loop()

    def heard(signum: signal.Signals) -> None:
        if stop.is_set() and not again.is_set():
            for kill in killed:
                kill()
            os._exit(128 + signum)
        again.clear()  # a signal ends it, also while it was about to start again
        log.info("stopping", signal=signum.name)
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, heard, signum)
    try:
        yield
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)


@contextmanager
def _stdin(stop: asyncio.Event) -> Iterator[None]:
    """A program that started us is gone when our standard input ends."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def heard() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, heard)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
