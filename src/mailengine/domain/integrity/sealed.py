"""Every column that holds something sealed, so that a new secret can take over what the old one sealed."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import SQLModel

from mailengine.core.scope import InstanceScope
from mailengine.core.secrets import Keyring
from mailengine.db.tenancy import table_of
from mailengine.db.unit import WriteTx
from mailengine.domain.accounts import second_factor
from mailengine.domain.senders.domains import KEY_PURPOSE
from mailengine.domain.senders.relays import PASSWORD_PURPOSE
from mailengine.models import DkimKey, Relay, User


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column of short texts, empty where there is nothing; `purpose` is the one that it is opened with."""

    model: type[SQLModel]
    column: str
    purpose: str


SEALED = (
    Sealed(Relay, "password_sealed", PASSWORD_PURPOSE),
    Sealed(DkimKey, "private_sealed", KEY_PURPOSE),
    Sealed(User, "totp_sealed", second_factor.PURPOSE),
)


async def reseal(tx: WriteTx, _instance: InstanceScope, keyring: Keyring) -> int:
    """Seal everything with the keyring's present secret; returns how many. Raises Unavailable."""
    done = 0
    for sealed in SEALED:
        table = table_of(sealed.model)
        column = table.c[sealed.column]
        for row_id, text in (await tx.execute(sa.select(table.c.id, column).where(column != ""))).all():
            again = keyring.seal(keyring.unseal(text, sealed.purpose), sealed.purpose)
            await tx.execute(sa.update(table).where(table.c.id == row_id).values({sealed.column: again}))
            done += 1
    return done
