"""A sealed stream comes back whole or not at all."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailengine.backup import sealed
from mailengine.backup.sealed import SealedReader, SealedWriter, check_passphrase
from mailengine.core.errors import InvalidInput

CHUNK = 64 * 1024
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True, scope="module")
def _quick_key() -> "object":
    """The key's cost is scrypt's business; here it would only make the tests slow."""
    patch = pytest.MonkeyPatch()
    patch.setattr(sealed, "_SCRYPT_LOG2_N", 4)
    yield
    patch.undo()


def seal(plain: bytes, step: int = 10_000) -> bytes:
    sink = io.BytesIO()
    with SealedWriter(sink, PASSPHRASE) as writer:
        for at in range(0, len(plain), step):
            writer.write(plain[at : at + step])
    return sink.getvalue()


def unseal(content: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return io.BufferedReader(SealedReader(io.BytesIO(content), passphrase)).read()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_it_comes_back(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert unseal(seal(plain)) == plain


def test_nothing_of_it_can_be_read() -> None:
    assert b"secret words" not in seal(b"secret words" * 100)
    assert seal(b"same") != seal(b"same")


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(InvalidInput, match="passphrase is wrong"):
        unseal(seal(b"text"), "correct horse batterx")


@settings(max_examples=40)
@given(st.data())
def test_every_change_is_noticed(data: st.DataObject) -> None:
    content = seal(b"a" * (2 * CHUNK + 100))
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    changed[8] = min(changed[8], 12)  # not an hour of scrypt
    if bytes(changed) != content:
        with pytest.raises(InvalidInput):
            unseal(bytes(changed))


@settings(max_examples=20)
@given(st.integers(0, 2 * CHUNK + 100))
def test_a_file_that_was_cut_is_noticed(length: int) -> None:
    with pytest.raises(InvalidInput):
        unseal(seal(b"a" * (2 * CHUNK + 100))[:length])


def test_chunks_in_another_order_are_noticed() -> None:
    content, sealed_chunk, head = seal(b"a" * CHUNK + b"b" * CHUNK + b"c"), CHUNK + 16, 32
    first, second = (
        content[head : head + sealed_chunk],
        content[head + sealed_chunk : head + 2 * sealed_chunk],
    )
    swapped = content[:head] + second + first + content[head + 2 * sealed_chunk :]
    with pytest.raises(InvalidInput):
        unseal(swapped)
    with pytest.raises(InvalidInput):
        unseal(content[: head + 2 * sealed_chunk])  # the end is missing, at the border of a chunk


def test_a_header_that_asks_for_gigabytes_is_refused() -> None:
    content = bytearray(seal(b"text"))
    content[8] = 40
    with pytest.raises(InvalidInput):
        unseal(bytes(content))


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 12"):
        check_passphrase("short")
