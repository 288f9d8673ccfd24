"""The second factor of a user: an authenticator app, and recovery codes for the day on which it is lost.

The secret is stored sealed; codes that were used are refused, also when two requests bring one at once.
"""

import base64
import hashlib
import secrets
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.errors import Conflict, InvalidInput
from mailengine.core.scope import Scope
from mailengine.core.secrets import Keyring
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts import audit, tokens, totp
from mailengine.models import RecoveryCode, TokenKind, User

PURPOSE = "authenticator secret"
RECOVERY_CODES = 10
_CODE_BYTES = 10  # 80 bits: hashed fast, and yet nothing to guess for who has stolen the database
_MOST_CHARS = 64


async def begin(tx: WriteTx, *, keyring: Keyring, user: User) -> bytes:
    """A new secret that waits for its first code; asks again with the one that already waits."""
    if user.totp_since is not None:
        raise Conflict("the account has a second factor already; remove it before you set up another")
    if user.totp_sealed:
        return keyring.unseal(user.totp_sealed, PURPOSE)
    secret = totp.new_secret()
    changed = sa.update(User).where(col(User.id) == user.id, col(User.totp_since).is_(None))
    await tx.execute(changed.values(totp_sealed=keyring.seal(secret, PURPOSE), totp_last_step=0))
    return secret


async def enable(
    tx: WriteTx, scope: Scope, *, keyring: Keyring, user_id: int, code: str, now: datetime
) -> list[str]:
    """Switch it on, once the app has shown a right code; returns the recovery codes, for this once.

    Raises InvalidInput for a wrong code.
    """
    user = await tx.get(User, user_id)
    if user is None or not user.totp_sealed or user.totp_since is not None:
        raise Conflict("no second factor is being set up; start again")
    if not await _check_app(tx, keyring, user, code, now):
        raise InvalidInput(
            "the code is wrong; check that the clock of the phone is right and try the next one"
        )
    user.totp_since = now
    await audit.record(tx, scope, "user.totp-on", "user", user_id, now=now)
    return await _new_codes(tx, user_id)


async def renew_codes(tx: WriteTx, scope: Scope, *, user_id: int, now: datetime) -> list[str]:
    """Other recovery codes; the old ones are void."""
    user = await tx.get(User, user_id)
    if user is None or user.totp_since is None:
        raise Conflict("the account has no second factor")
    await audit.record(tx, scope, "user.recovery-codes", "user", user_id, now=now)
    return await _new_codes(tx, user_id)


async def disable(tx: WriteTx, scopes: list[Scope], *, user_id: int, now: datetime) -> bool:
    """Switch it off, and tell the given tenants; whether it was on."""
    user = await tx.get(User, user_id)
    if user is None or not user.totp_sealed:
        return False
    was_on = user.totp_since is not None
    user.totp_sealed, user.totp_since, user.totp_last_step = "", None, 0
    await tx.execute(sa.delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))
    await tokens.void(tx, (TokenKind.SECOND_FACTOR,), user_id=user_id)
    for scope in scopes:
        await audit.record(tx, scope, "user.totp-off", "user", user_id, now=now)
    return was_on


async def check(tx: WriteTx, *, keyring: Keyring, user_id: int, code: str, now: datetime) -> bool:
    """Whether the code is one of the app or a recovery code; a right one is used up."""
    user = await tx.get(User, user_id)
    if user is None or user.totp_since is None or len(code) > _MOST_CHARS:
        return False
    return await _check_app(tx, keyring, user, code, now) or await _check_recovery(tx, user_id, code)


async def codes_left(tx: ReadTx, *, user_id: int) -> int:
    counted = sa.select(sa.func.count()).select_from(RecoveryCode)
    return await tx.scalar(counted.where(col(RecoveryCode.user_id) == user_id)) or 0


async def _check_app(tx: WriteTx, keyring: Keyring, user: User, code: str, now: datetime) -> bool:
    secret = keyring.unseal(user.totp_sealed, PURPOSE)
    plain = "".join(code.split())
    step = totp.matching_step(secret, plain, now=now, after=user.totp_last_step)
    if step is None:
        return False
    # Of two requests with the same code, the database lets one through.
    used = sa.update(User).where(col(User.id) == user.id, col(User.totp_last_step) < step)
    won = await tx.scalar(used.values(totp_last_step=step).returning(col(User.id)))
    return won is not None


async def _check_recovery(tx: WriteTx, user_id: int, code: str) -> bool:
    chosen = (col(RecoveryCode.user_id) == user_id, col(RecoveryCode.code_hash) == _code_hash(code))
    used = await tx.scalar(sa.delete(RecoveryCode).where(*chosen).returning(col(RecoveryCode.id)))
    return used is not None


async def _new_codes(tx: WriteTx, user_id: int) -> list[str]:
    await tx.execute(sa.delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    rows = [{"user_id": user_id, "code_hash": _code_hash(code)} for code in codes]
    await tx.execute(sa.insert(RecoveryCode), rows)
    return codes


def _new_code() -> str:
    """Four groups of four letters and digits: `k3jx-7q2m-…`."""
    text = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _code_hash(code: str) -> str:
    plain = "".join(character for character in code.lower() if character.isalnum())
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()
