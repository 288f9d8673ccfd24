"""Guesses are slowed down per account, per client and per both, by buckets in the database: several web processes
count together, and a restart forgets nothing.

A rule's bucket holds `burst` guesses and gains one every `seconds_per_guess`. Rules are asked in order and the
first that refuses ends it: a client that is out of guesses takes none from the account, so that a stranger
locks nobody out from one place.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.scope import InstanceScope
from mailengine.db.insert import insert_new
from mailengine.db.unit import WriteTx
from mailengine.mail.address import AddressError, parse_address
from mailengine.models import AuthLimit

_KEEP = timedelta(days=1)  # longer than any bucket needs to fill up: one that is older says nothing
_PART = 32  # hex digits of each half of a key


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of bucket; whether it tells accounts or clients apart is in its name."""

    name: str
    burst: int
    seconds_per_guess: float
    by_account: bool = True
    by_client: bool = True


# Each guess costs the server 64 MiB and some 50 ms of Argon2: the client's rule limits what a flood can make it
# spend, the pair's what one client tries on an account, the account's what a thousand clients do.
PASSWORD_PAIR = Rule("password-pair", 10, 60)
PASSWORD = (
    Rule("password-client", 60, 10, by_account=False),
    PASSWORD_PAIR,
    Rule("password-account", 50, 30, by_client=False),
)
# Six digits, three of them right at a time: 288 guesses a day find one in a thousand who already knows the password.
CODE = (Rule("code", 5, 300, by_client=False),)
# Each costs a question to the identity provider and a row.
SIGN_ON = (Rule("sign-on", 30, 10, by_account=False),)
# Connections to whatever host somebody names (P75-04): per organisation, which is the account here.
TEST_MESSAGE = (Rule("test-message", 20, 180, by_client=False),)
# Mail to an address whose owner may not have asked for it.
MAIL = (Rule("mail-client", 20, 60, by_account=False), Rule("mail-account", 3, 600, by_client=False))


async def take(
    tx: WriteTx, instance: InstanceScope, rules: Sequence[Rule], *, account: str, now: datetime
) -> float:
    """Count a guess at `account` by the client of `instance`; 0 when it is allowed, else the seconds to wait."""
    await tx.execute(sa.delete(AuthLimit).where(col(AuthLimit.filled_at) < now - _KEEP))
    for rule in rules:
        wait = await _take(tx, rule, _key(rule, account, instance.address), now)
        if wait:
            return wait
    return 0.0


async def forget(tx: WriteTx, instance: InstanceScope, rule: Rule, *, account: str) -> None:
    """The guess was right: the earlier ones of this rule no longer count."""
    key = _key(rule, account, instance.address)
    await tx.execute(sa.delete(AuthLimit).where(col(AuthLimit.key) == key))


async def unlock(tx: WriteTx, instance: InstanceScope, *, account: str) -> bool:
    """Let everybody guess at the account afresh; whether anything was counted."""
    prefix = _digest(account_name(account))
    gone = sa.delete(AuthLimit).where(col(AuthLimit.key).startswith(prefix))
    return bool((await tx.scalars(gone.returning(col(AuthLimit.key)))).all())


def account_name(text: str) -> str:
    """One name for every spelling of an address; what is no address has itself."""
    try:
        return parse_address(text).key
    except AddressError:
        return text.strip().casefold()


def client_name(address: str) -> str:
    """An IPv6 customer has 2**64 addresses (RFC 6177), which are one client."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


async def _take(tx: WriteTx, rule: Rule, key: str, now: datetime) -> float:
    await tx.execute(insert_new(tx, AuthLimit), {"key": key, "tokens": float(rule.burst), "filled_at": now})
    query = sa.select(AuthLimit).where(col(AuthLimit.key) == key)
    if tx.postgres:
        query = query.with_for_update().execution_options(populate_existing=True)
    row = (await tx.scalars(query)).one()
    waited = max(0.0, (now - row.filled_at).total_seconds())
    level = min(float(rule.burst), row.tokens + waited / rule.seconds_per_guess)
    allowed = level >= 1
    row.tokens, row.filled_at = (level - 1 if allowed else level), now
    await tx.flush()
    return 0.0 if allowed else (1 - level) * rule.seconds_per_guess


def _key(rule: Rule, account: str, address: str) -> str:
    """The account's half comes first, so that `unlock` finds all that concerns it."""
    owner = _digest(account_name(account) if rule.by_account else "")
    return owner + _digest(rule.name + ":" + (client_name(address) if rule.by_client else ""))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_PART]
