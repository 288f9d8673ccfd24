"""Fixtures of all tests: real peers, fresh databases, and the proof that no process is left behind."""

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

from mailengine.core import log
from mailengine.core.config import LogSettings
from mailengine.domain.integrity import QUERY, grouped
from peers import availability, shared
from peers.catcher import Catcher
from peers.dns_zone import DnsZone
from peers.postfix import Postfix
from peers.postgres import Postgres
from peers.processes import describe, left_over
from peers.redis_server import RedisServer
from peers.sink import CountingSink, SmtpSink
from peers.template import copy_sqlite
from support.integrity import assert_integrity
from support.passwords import hash_cheaply
from support.statements import share_compiled

RUN = pytest.StashKey[Path]()
LEFT = pytest.StashKey[list[str]]()
MISSING = pytest.StashKey[dict[str, str]]()
_NEW_OBJECTS = 50_000  # between two collections


settings.register_profile("shared", deadline=None)  # the machine is shared: a property test measures no time
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    log.configure(LogSettings())  # as the program does; structlog's own way draws each traceback, for seconds
    share_compiled()
    hash_cheaply()
    # A shell's background job ignores Ctrl-C, and so would every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # xdist's workers use the run directory of their controller
        config.stash[RUN] = shared.open_run()


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what their module sets up run on one worker: on each other one it would be set up again."""
    for item in items:
        if isinstance(item, pytest.Function) and any(
            found[-1].scope == "module" for found in item._fixtureinfo.name2fixturedefs.values()
        ):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


def pytest_collection_finish() -> None:
    gc.freeze()  # all that is imported stays: each later collection need not look at it
    gc.set_threshold(
        _NEW_OBJECTS, 20, 20
    )  # every 700, as by default, it was a tenth of the tests' processor time


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        availability.require(*mark.args)


@pytest.hookimpl(trylast=True)  # when all fixtures are torn down, and all workers have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None:
        return
    config.stash[MISSING] = availability.missing(run)
    shared.close_run(run)
    _gone, left = psutil.wait_procs(left_over(run), timeout=5)
    config.stash[LEFT] = [describe(process) for process in left]
    for process in left:
        process.kill()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, reason in config.stash.get(MISSING, {}).items():
        terminalreporter.write_line(f"missing peer: {name} ({reason}); its tests were not run", yellow=True)
    for line in config.stash.get(LEFT, []):
        terminalreporter.write_line(f"FAILED: a process was left behind: {line}", red=True, bold=True)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL: `database()` for more than one database in a test."""
    availability.require("postgres")
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def postgres_dsn(postgres: Postgres) -> Iterator[str]:
    """A fresh migrated database, as a role that row-level security binds."""
    with postgres.copy() as copy:
        yield copy.dsn
        assert grouped(copy.rows(QUERY)) == []


@pytest.fixture
def sqlite_dsn(tmp_path: Path) -> Iterator[str]:
    """A fresh migrated SQLite file."""
    dsn = copy_sqlite(tmp_path / "test.sqlite3")
    yield dsn
    assert_integrity(dsn)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database; the test runs once on each system."""
    name = "sqlite_dsn" if request.param == "sqlite" else "postgres_dsn"
    return str(request.getfixturevalue(name))


@pytest.fixture(scope="session")
def postfix() -> Postfix:
    availability.require("postfix")
    return Postfix()


@pytest.fixture(scope="session")
def smtp_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpSink]:
    availability.require("smtp_sink")
    sink = SmtpSink(tmp_path_factory.mktemp("smtp-sink") / "log")
    yield sink
    sink.stop()


@pytest.fixture
def counting_sink(tmp_path: Path) -> Iterator[Callable[..., CountingSink]]:
    """Starts counting sinks: `counting_sink(delay_ms=1, drop_unsaid=0.01, seed=7)`."""
    with ExitStack() as sinks:

        def start(**options: Any) -> CountingSink:
            number = len(list(tmp_path.glob("sink-*.log")))
            sink = CountingSink(options.pop("log", tmp_path / f"sink-{number}.log"), **options)
            sinks.callback(sink.stop)
            return sink

        yield start


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    server = Catcher()
    yield server
    server.stop()


@pytest.fixture
def dns_zone() -> Iterator[DnsZone]:
    """An empty zone: set `records`, `servfail` and `silent`."""
    zone = DnsZone()
    yield zone
    zone.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    availability.require("redis")
    server = RedisServer(tmp_path_factory.mktemp("redis") / "log")
    yield server
    server.stop()
