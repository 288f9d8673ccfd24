"""Tokens in links: whom they stand for, and everything that is not one."""

from hypothesis import given
from hypothesis import strategies as st

from mailengine.core.secrets import Keyring
from mailengine.domain.tracking.tokens import Purpose, Recipient, TokenSigner

SIGNER = TokenSigner(Keyring(bytes(range(32))))
IDS = st.integers(0, 2**63 - 1)
TENANTS = st.integers(0, 2**32 - 1)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(task=IDS, tenant=TENANTS, purpose=st.sampled_from(Purpose))
def test_a_token_is_read_back_for_its_purpose_only(task: int, tenant: int, purpose: Purpose) -> None:
    token = SIGNER.sign(task, tenant, purpose)
    assert SIGNER.read(token, purpose) == Recipient(task, tenant)
    (other,) = set(Purpose) - {purpose}
    assert SIGNER.read(token, other) is None


@given(task=IDS, tenant=TENANTS, position=st.integers(0, 29), letter=st.sampled_from(ALPHABET))
def test_no_other_spelling_is_a_token(task: int, tenant: int, position: int, letter: str) -> None:
    token = SIGNER.sign(task, tenant, Purpose.TRACK)
    changed = token[:position] + letter + token[position + 1 :]
    assert (SIGNER.read(changed, Purpose.TRACK) is None) == (changed != token)


@given(st.text(max_size=64))
def test_anything_else_is_none(text: str) -> None:
    assert SIGNER.read(text, Purpose.TRACK) is None


def test_another_installations_token_is_none() -> None:
    theirs = TokenSigner(Keyring(bytes(32))).sign(1, 1, Purpose.MANAGE)
    assert SIGNER.read(theirs, Purpose.MANAGE) is None


@given(IDS, TENANTS)
def test_a_messages_two_tokens_are_those_of_their_purposes(task: int, tenant: int) -> None:
    both = SIGNER.sign(task, tenant, Purpose.MANAGE), SIGNER.sign(task, tenant, Purpose.TRACK)
    assert SIGNER.sign_for_message(task, tenant) == both
