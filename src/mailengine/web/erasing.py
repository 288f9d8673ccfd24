"""Erasing a person as the API and the pages do it: first out of the files, then out of the tables."""

from mailengine.core.scope import Scope
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.privacy import erase
from mailengine.domain.privacy.files import forget_everywhere
from mailengine.runtime import Runtime


async def erase_person(rt: Runtime, scope: Scope, *, address: str) -> tuple[erase.Erased, int]:
    """What was done in the tables, and of how many rows and files; raises as `erase.erase` does."""
    files = await forget_everywhere(rt.db, scope, data_dir=rt.settings.data_dir, address=address)
    async with rt.db.write(scope) as tx:
        found = await erase.erase(
            tx,
            scope,
            address=address,
            hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
            now=rt.clock.now(),
        )
    return found, files
