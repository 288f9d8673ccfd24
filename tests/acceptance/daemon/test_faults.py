"""The daemon when the machine fails it: it says so once, loses and doubles nothing, and goes on by itself."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from peers.ports import wait_until
from peers.postgres import Postgres
from peers.sink import CountingSink
from support.daemon import Daemon, House, compare

RECIPIENTS = 600
ROLES = ("--role", "worker,scheduler")
Sinks = Callable[..., CountingSink]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def house(sqlite_dsn: str, tmp_path: Path) -> House:
    folder = tmp_path / "house"
    folder.mkdir()
    return House(
        sqlite_dsn, folder, MAILENGINE_WORKER_PROCESSES="1", MAILENGINE_WORKER_CONNECTIONS="2",
        MAILENGINE_WORKER_BATCH_SIZE="50",
    )  # fmt: skip


@contextmanager
def limited(daemon: Daemon, what: int, limit: int) -> Iterator[None]:
    """The supervisor and its workers may have no more of it inside the block; those that start later inherit that."""
    processes = [psutil.Process(daemon.process.pid), *daemon.workers()]
    before = processes[0].rlimit(what)
    for process in processes:
        process.rlimit(what, (limit, before[1]))
    try:
        yield
    finally:
        for process in {*processes, *daemon.workers()}:
            if process.is_running():
                process.rlimit(what, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def errors(house: House) -> list[str]:
    return [str(line.get("words", line["event"])) for line in house.said() if line["level"] == "error"]


def finish(house: House, daemon: Daemon, sink: CountingSink) -> None:
    house.wait_for_state("sent", 200)
    assert daemon.end() == 0
    assert compare(house, sink) == set()


def assert_no_traceback(house: House) -> None:
    assert not [line for line in house.log.read_text().splitlines() if "Traceback" in line]


def test_a_full_disk(house: House, counting_sink: Sinks, tmp_path: Path) -> None:
    sink = counting_sink(delay_ms=5)
    house.campaign(RECIPIENTS, sink.port)
    with house.daemon(*ROLES) as daemon:
        sink.wait_for(50, 200)
        with limited(daemon, resource.RLIMIT_FSIZE, 1 << 16):
            wait_until(
                lambda: any("full" in words or "File too large" in words for words in errors(house)),
                "it says so",
                60,
            )
        finish(house, daemon, sink)


def test_a_full_disk_below_the_journals(
    sqlite_dsn: str, small_disk: Path, tmp_path: Path, counting_sink: Sinks
) -> None:
    sink, filler = counting_sink(), small_disk / "filler"
    house = House(sqlite_dsn, small_disk, MAILENGINE_WORKER_PROCESSES="1")
    house.log = tmp_path / "daemon.log"
    house.campaign(RECIPIENTS, sink.port, launched=False)
    with house.daemon(*ROLES) as daemon:
        wait_until(lambda: house.events("started"), "it starts", 60)
        wait_until((small_disk / "node.id").exists, "it has its name", 60)
        fill(filler)
        house.program.ok("campaign", "send", "Spring", "--yes")
        wait_until(lambda: errors(house), "it says so", 60)
        filler.unlink()
        finish(house, daemon, sink)
    assert set(errors(house)) == {
        f"{small_disk}/wire cannot be written: No space left on device; nothing more is claimed until it can"
    }
    assert_no_traceback(house)


def test_the_disk_is_full_at_the_start(
    sqlite_dsn: str, small_disk: Path, tmp_path: Path, counting_sink: Sinks
) -> None:
    house = House(sqlite_dsn, small_disk)
    house.log = tmp_path / "daemon.log"
    house.campaign(RECIPIENTS, counting_sink().port)
    fill(small_disk / "filler")
    with house.daemon(*ROLES) as daemon:
        assert daemon.process.wait(60) == 1
    assert_no_traceback(house)
    last_line = house.log.read_text().splitlines()[-1]
    assert f"{small_disk} cannot be written: No space left on device" in last_line


def test_out_of_file_descriptors(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=5)
    house.campaign(RECIPIENTS, sink.port)
    with house.daemon(*ROLES) as daemon:
        sink.wait_for(50, 200)
        held = len(house.said())
        with limited(daemon, resource.RLIMIT_NOFILE, 5):
            wait_until(lambda: len(house.said()) > held, "it says so", 60)
        finish(house, daemon, sink)


def test_a_database_that_is_gone_for_a_while(
    postgres: Postgres, tmp_path: Path, counting_sink: Sinks, postgres_dsn: str
) -> None:
    sink, name = counting_sink(delay_ms=5), postgres_dsn.rpartition("/")[2]
    house = House(postgres_dsn, tmp_path, MAILENGINE_WORKER_PROCESSES="1", MAILENGINE_WORKER_CONNECTIONS="2")
    house.campaign(RECIPIENTS, sink.port)
    with house.daemon(*ROLES) as daemon:
        sink.wait_for(50, 200)
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        wait_until(lambda: len(errors(house)) >= 2, "it says so", 60)
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        finish(house, daemon, sink)
    assert_no_traceback(house)
    assert not [words for words in errors(house) if "\n" in words]


def test_a_copied_data_directory(postgres_dsn: str, tmp_path: Path, counting_sink: Sinks) -> None:
    """As a machine that was made from the image of another, which lives."""
    sink = counting_sink(delay_ms=30)
    original, copy = (
        House(
            postgres_dsn, tmp_path / name, MAILENGINE_WORKER_PROCESSES="1", MAILENGINE_WORKER_CONNECTIONS="2",
            MAILENGINE_WORKER_BATCH_SIZE="50",
        )
        for name in ("original", "copy")
    )  # fmt: skip
    original.folder.mkdir()
    original.campaign(RECIPIENTS, sink.port)
    with original.daemon(*ROLES) as first:
        sink.wait_for(50, 200)
        (copy.folder / "wire").mkdir(parents=True)
        for path in [original.folder / "node.id", *(original.folder / "wire").iterdir()]:
            with suppress(FileNotFoundError):  # a journal whose claim has just ended
                shutil.copy(path, copy.folder / path.relative_to(original.folder))
        with copy.daemon(*ROLES) as second:
            original.wait_for_state("sent", 200)
            wait_until(lambda: [line for line in copy.said() if line["level"] == "warning"], "it says so", 60)
            assert [second.end(), first.end()] == [0, 0]
    assert compare(original, sink) == set()
    assert errors(original) + errors(copy) == []
    assert (original.folder / "node.id").read_text() != (copy.folder / "node.id").read_text()


def test_two_daemons_on_one_file(house: House, counting_sink: Sinks) -> None:
    sink = counting_sink(delay_ms=2)
    house.campaign(RECIPIENTS, sink.port)
    with house.daemon(*ROLES) as first, house.daemon(*ROLES) as second:
        house.wait_for_state("sent", 200)
        assert [first.end(), second.end()] == [0, 0]
    assert compare(house, sink) == set()


def test_sigterm_in_every_phase(house: House, counting_sink: Sinks) -> None:
    """While it starts, while it finds recipients, three times while it sends."""
    sink = counting_sink(delay_ms=4)
    house.campaign(RECIPIENTS, sink.port)
    phases: list[Callable[[], None]] = [
        lambda: None,
        lambda: house.wait_for_tasks(1),
        *(lambda count=count: sink.wait_for(count) for count in (20, 200, 400)),  # type: ignore[misc]
    ]
    for number, phase in enumerate(phases, 1):
        with house.daemon(*ROLES) as daemon:
            wait_until(lambda number=number: len(house.events("started")) == number, "it starts", 60)  # type: ignore[misc]
            phase()
            assert daemon.end() == 0
    with house.daemon(*ROLES) as daemon:
        wait_until(lambda: len(house.events("started")) > len(phases), "it starts", 60)
        finish(house, daemon, sink)
