"""A backup taken while the daemon sends, and what the restored installation then sends: nothing twice by itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from peers.postgres import Postgres
from peers.sink import CountingSink
from support.daemon import House, elsewhere
from support.integrity import assert_integrity

RECIPIENTS = 500
Sinks = Callable[..., CountingSink]


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> House:
    return House(
        database_url, tmp_path / "house", MAILENGINE_WORKER_PROCESSES="1", MAILENGINE_WORKER_BATCH_SIZE="100"
    )


def backed_up_while_sending(house: House, sink: CountingSink, file: Path) -> None:
    house.folder.mkdir(exist_ok=True)
    house.campaign(RECIPIENTS, sink.port)
    with house.daemon() as daemon:
        sink.wait_for(150)
        house.program.ok("backup", str(file))
        house.wait_for_state("sent")
        assert daemon.end() == 0
    assert sink.received().keys() == house.statuses().keys()


def test_what_left_after_the_backup_is_not_sent_again(
    house: House, counting_sink: Sinks, tmp_path: Path, postgres: Postgres
) -> None:
    """The machine is lost after everything was sent; the backup comes back on another one."""
    sink, file = counting_sink(delay_ms=60), tmp_path / "a.backup"  # slow enough for a backup in the middle
    backed_up_while_sending(house, sink, file)
    with elsewhere(house, tmp_path / "other", postgres) as other:
        restored = other.program.ok("restore", str(file), "--json").json
        doubtful = {address for address, status in other.statuses().items() if status == "doubt"}
        assert 0 < len(doubtful) == restored["in_doubt"] < RECIPIENTS
        assert [each["campaign"] for each in restored["campaigns"]] == ["Spring"]
        other.program.ok("delivery", "doubts", "list")
        with other.daemon() as daemon:
            other.wait_for_state("sent")  # whatever is open is in doubt: there is nothing to send
            assert "backup" in other.program.ok("kill-switch", "status").out
            assert daemon.end() == 0
        assert set(sink.received().values()) == {1}
        # A person looked, and knows that they had left.
        settled = other.program.ok(
            "delivery", "doubts", "settle", "--campaign", "Spring", "--as", "sent", "--json"
        )
        assert settled.json["settled"] == restored["in_doubt"]
        assert set(other.statuses().values()) == {"sent"}
        assert_integrity(other.url)
    if house.url.startswith("sqlite"):
        a_replaced_database_says_what_left(house, file)


def a_replaced_database_says_what_left(house: House, file: Path) -> None:
    """An upgrade that is undone keeps its certainty: the ledger of the replaced file is taken up."""
    restored = house.program.ok("restore", str(file), "--overwrite", "--yes", "--json").json
    assert restored["in_doubt"] == 0
    assert set(house.statuses().values()) == {"sent"}
    assert_integrity(house.url)


def test_a_person_lets_go_of_what_is_in_doubt(
    house: House, counting_sink: Sinks, tmp_path: Path, postgres: Postgres
) -> None:
    sink, file = counting_sink(), tmp_path / "a.backup"
    house.folder.mkdir(exist_ok=True)
    house.campaign(50, sink.port)
    with house.daemon("--role", "scheduler") as daemon:
        house.wait_for_expansion()  # one that was still growing would be paused by the restore
        assert daemon.end() == 0
    house.program.ok("backup", str(file))
    with elsewhere(house, tmp_path / "other", postgres) as other:
        assert other.program.ok("restore", str(file), "--json").json["in_doubt"] == 50
        assert other.program.ok(
            "delivery", "doubts", "resend", "--campaign", "Spring", "--yes", "--json"
        ).json == {"queued": 50}
        other.program.ok("kill-switch", "off")
        with other.daemon() as daemon:
            other.wait_for_state("sent")
            assert daemon.end() == 0
        assert len(sink.received()) == 50
        assert_integrity(other.url)


def test_a_campaign_that_was_still_growing_is_paused(
    house: House, counting_sink: Sinks, tmp_path: Path, postgres: Postgres
) -> None:
    sink, file = counting_sink(), tmp_path / "a.backup"
    house.folder.mkdir(exist_ok=True)
    house.campaign(20, sink.port)
    house.program.ok("backup", str(file))
    with elsewhere(house, tmp_path / "other", postgres) as other:
        restored = other.program.ok("restore", str(file), "--json")
        assert restored.json["campaigns"][0]["growing"] is True
        assert "paused" in restored.err
        assert other.state() == "paused"
