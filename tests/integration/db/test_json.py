"""JSON that `json` wrote and msgspec refuses is still read: a contact must not make a page or a campaign fail."""

import pytest
import sqlalchemy as sa

from mailengine.db.types import JSONType
from support.house import INSTANCE, open_database

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stored", ['"\\ud83d"', "[NaN]", "[1e999]"])
async def test_what_stands_in_the_file_is_read(sqlite_dsn: str, stored: str) -> None:
    written = sa.text("SELECT :stored AS found").bindparams(stored=stored).columns(found=JSONType)
    async with open_database(sqlite_dsn) as db, db.read(INSTANCE) as tx:
        assert await tx.scalar(written) is not None
