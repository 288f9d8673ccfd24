"""Secrets that are handed out and come back: 256 random bits, of which the database holds the SHA-256 only.

A stolen database redeems nothing, and a guess needs no slow hash to be hopeless. An account token is single use:
redeeming deletes its row, so of two who come at once one finds nothing.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.ids import UserId
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.models import AccountToken, TokenKind

LIFETIMES = {
    TokenKind.SETUP: timedelta(days=1),
    TokenKind.SIGN_UP: timedelta(days=1),
    TokenKind.RESET_PASSWORD: timedelta(hours=1),
    TokenKind.CHANGE_EMAIL: timedelta(hours=4),
    TokenKind.SECOND_FACTOR: timedelta(minutes=10),
    TokenKind.OIDC: timedelta(minutes=10),
}


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a token stood for."""

    user_id: UserId | None
    data: dict[str, Any]


def new_token() -> str:
    """43 URL-safe characters, 256 bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


async def issue(
    tx: WriteTx,
    kind: TokenKind,
    *,
    now: datetime,
    user_id: UserId | None = None,
    data: dict[str, Any] | None = None,
) -> str:
    """A new token; those that expired go, so that the table does not grow."""
    token = new_token()
    await tx.execute(sa.delete(AccountToken).where(col(AccountToken.expires_at) <= now))
    tx.add(
        AccountToken(
            kind=kind,
            token_hash=token_hash(token),
            user_id=user_id,
            data=data or {},
            created_at=now,
            expires_at=now + LIFETIMES[kind],
        )
    )
    await tx.flush()
    return token


async def peek(tx: ReadTx, kind: TokenKind, *, token: str, now: datetime) -> Redeemed | None:
    """What the token stands for, without using it; None when it is unknown, used or expired."""
    row = await tx.scalar(sa.select(AccountToken).where(*_chosen(kind, token, now)))
    return None if row is None else _redeemed(row.user_id, row.data)


async def redeem(tx: WriteTx, kind: TokenKind, *, token: str, now: datetime) -> Redeemed | None:
    """Use the token up; None when it is unknown, used or expired."""
    deletion = sa.delete(AccountToken).where(*_chosen(kind, token, now))
    row = (await tx.execute(deletion.returning(col(AccountToken.user_id), col(AccountToken.data)))).first()
    return None if row is None else _redeemed(*row)


async def void(tx: WriteTx, kinds: tuple[TokenKind, ...], *, user_id: int) -> None:
    """Make the user's tokens of these kinds worthless."""
    await tx.execute(
        sa.delete(AccountToken).where(col(AccountToken.user_id) == user_id, col(AccountToken.kind).in_(kinds))
    )


def _chosen(kind: TokenKind, token: str, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        col(AccountToken.token_hash) == token_hash(token),
        col(AccountToken.kind) == kind,
        col(AccountToken.expires_at) > now,
    )


def _redeemed(user_id: int | None, data: dict[str, Any]) -> Redeemed:
    return Redeemed(None if user_id is None else UserId(user_id), data)
