"""A new secret: what the old one sealed and signed is still opened, and hashes never change."""

import re
from pathlib import Path

import pytest

import mailengine
from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.core.secrets import Keyring, load_keyring, replace_secret
from mailengine.domain.integrity.sealed import SEALED
from mailengine.domain.tracking.tokens import Purpose, TokenSigner
from mailengine.models import metadata

OLD = bytes(range(32))


def rotated(keyring: Keyring) -> Keyring:
    return load_keyring(Path(), keyring.with_new_secret())


def test_a_rotation_opens_the_old_and_seals_with_the_new() -> None:
    before = Keyring(OLD)
    after = rotated(rotated(before))
    sealed = before.seal(b"words", "test")
    assert after.unseal(sealed, "test") == b"words"
    assert after.derive("x") != before.derive("x")
    with pytest.raises(Unavailable):
        before.unseal(after.seal(b"words", "test"), "test")
    with pytest.raises(Unavailable):
        after.unseal(sealed, "another purpose")


def test_links_of_before_work_until_the_old_is_forgotten() -> None:
    before = Keyring(OLD)
    after = rotated(before)
    token = TokenSigner(before).sign(7, 3, Purpose.MANAGE)
    assert TokenSigner(after).read(token, Purpose.MANAGE) is not None
    assert TokenSigner(after).sign(7, 3, Purpose.MANAGE) != token
    forgotten = load_keyring(Path(), after.without_older())
    assert TokenSigner(forgotten).read(token, Purpose.MANAGE) is None
    assert not forgotten.rotated


def test_hashes_stay_what_they_were() -> None:
    before = Keyring(OLD)
    after = rotated(rotated(before))
    forgotten = load_keyring(Path(), after.without_older())
    again = rotated(forgotten)
    assert {each.derive_for_ever("h") for each in (before, after, forgotten, again)} == {before.derive("h")}


def test_the_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text(OLD.hex())
    replace_secret(path, Keyring(OLD).with_new_secret())
    assert path.stat().st_mode & 0o077 == 0
    assert load_keyring(path, None).rotated
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize("text", ["", "nonsense", "ab" * 10, f"hash:{OLD.hex()}", f"{OLD.hex()} hash:zz"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        load_keyring(Path(), text)


def test_every_sealed_column_is_sealed_anew() -> None:
    found = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_sealed")
    }
    assert found == {(each.model.__tablename__, each.column) for each in SEALED}


def test_hashes_are_made_with_the_key_that_stays() -> None:
    """After a rotation `derive` is another key: whoever was erased would be written to again."""
    package = Path(mailengine.__file__).parent
    asked = re.compile(r"\.derive\((\w+\.)?HASH_PURPOSE\)")
    wrong = [path.name for path in package.rglob("*.py") if asked.search(path.read_text())]
    assert wrong == []
