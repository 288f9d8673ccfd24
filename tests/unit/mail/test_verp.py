"""Return paths: only what we made decodes, in whatever case it comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.mail.address import parse_address
from mailengine.mail.verp import decode, encode_return_path

KEY = b"k" * 32
task_ids = st.integers(0, 2**63 - 1)


@given(task_ids, st.integers(0, 10**6), st.binary(min_size=16, max_size=64))
def test_round_trip_in_any_case_and_brackets(task_id: int, attempt: int, key: bytes) -> None:
    address = encode_return_path(task_id, attempt, "bounce.example.org", key)
    assert parse_address(address).email == address
    assert len(address.partition("@")[0]) <= 64
    for spelling in (
        address,
        address.upper(),
        f"<{address}>",
        f" {address}\r\n",
        address.replace("example", "old"),
    ):
        assert decode(spelling, key) == task_id


@given(task_ids, st.data())
def test_any_change_is_noticed(task_id: int, data: st.DataObject) -> None:
    address = encode_return_path(task_id, 1, "x.org", KEY)
    index = data.draw(st.integers(0, address.index("@") - 1))
    char = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-=").filter(lambda c: c != address[index])
    )
    assert decode(address[:index] + char + address[index + 1 :], KEY) is None


@given(task_ids)
def test_another_key_reads_nothing(task_id: int) -> None:
    assert decode(encode_return_path(task_id, 1, "x.org", KEY), b"other") is None


@given(st.one_of(st.text(max_size=60), st.text(max_size=40).map("b-{}@x.org".format)))
def test_foreign_addresses_are_none(address: str) -> None:
    assert decode(address, KEY) is None


def test_attempts_have_their_own_addresses() -> None:
    first, second = (encode_return_path(7, attempt, "x.org", KEY) for attempt in (1, 2))
    assert first != second
    assert decode(first, KEY) == decode(second, KEY) == 7


@pytest.mark.parametrize("task_id", [-1, 2**64])
def test_ids_out_of_range_are_a_bug(task_id: int) -> None:
    with pytest.raises(OverflowError):
        encode_return_path(task_id, 1, "x.org", KEY)
