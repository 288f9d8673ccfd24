"""How many messages a claim takes: about half a second of sending, whatever the database takes beside it."""

from mailengine.domain.delivery.batch import SMALLEST, Pace


def claims(pace: Pace, *, a_second: float, database_seconds: float, number: int = 12) -> list[int]:
    """The sizes of successive claims, the next made when half of the one before is sent."""
    now, free_at, sizes = 0.0, 0.0, []
    for _ in range(number):
        sizes.append(pace.size)
        ready_at = now + database_seconds
        begun_at = max(ready_at, free_at)
        free_at = begun_at + pace.size / a_second
        now = max(ready_at, begun_at + pace.size / a_second / 2)
        pace.learn(pace.size, ready_at=ready_at, settled_at=free_at)
    return sizes


def test_a_claim_grows_to_half_a_second_of_sending() -> None:
    assert claims(Pace(5000), a_second=2000, database_seconds=0.01)[-1] == 1000
    assert claims(Pace(5000), a_second=400, database_seconds=0.01)[-1] == 200


def test_a_slow_database_does_not_make_claims_smaller() -> None:
    assert claims(Pace(500), a_second=2000, database_seconds=1.5)[-1] == 500


def test_a_slow_server_gets_small_claims_and_no_setting_is_exceeded() -> None:
    assert claims(Pace(500, size=500), a_second=2, database_seconds=0.01)[-1] == SMALLEST
    assert max(claims(Pace(20, size=20), a_second=5000, database_seconds=0.01)) == 20


def test_the_last_few_messages_say_nothing() -> None:
    pace = Pace(500, size=400)
    pace.learn(3, ready_at=1.0, settled_at=2.0)
    assert pace.size == 400
