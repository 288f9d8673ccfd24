"""Importing a file of this machine in this process, as the command does: it needs no daemon."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailengine.core.paging import PageRequest
from mailengine.domain.contacts import lists
from mailengine.domain.contacts.imports.preview import preview
from mailengine.domain.contacts.imports.report import ImportProgress, ImportReport
from mailengine.domain.contacts.imports.request import ImportRequest, Surroundings
from mailengine.domain.contacts.imports.run import import_file
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.tui.source.desk import Desk, whole

# What a picker offers: the kinds of files that an import reads.
ENDINGS = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".ods", ".zip"})


class Imports:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @whole
    async def lists(self) -> list[str]:
        """The names of the lists that there are, oldest first."""
        desk = self.desk
        async with desk.read() as tx:
            return [row.name for row in (await lists.list_lists(tx, desk.scope, page=PageRequest(200))).items]

    @whole
    async def preview(self, path: Path) -> dict[str, Any]:
        """What each column would become; raises InvalidInput for a file that cannot be imported."""
        request = ImportRequest(path, list_name="")
        return (await preview(self._around(), self.desk.scope, request)).as_dict()

    @whole
    async def run(
        self,
        path: Path,
        list_name: str,
        *,
        progress: Callable[[ImportProgress], None],
        cancelled: Callable[[], bool],
    ) -> ImportReport:
        """To its end; `progress` is called after each batch, and `cancelled` asked before."""
        around = self._around(progress, cancelled)
        return await import_file(around, self.desk.scope, ImportRequest(path, list_name=list_name))

    def _around(
        self,
        progress: Callable[[ImportProgress], None] = lambda _made: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Surroundings:
        rt = self.desk.rt
        return Surroundings(
            db=rt.db,
            clock=rt.clock,
            data_dir=rt.settings.data_dir,
            hash_key=rt.keyring.derive_for_ever(HASH_PURPOSE),
            progress=progress,
            cancelled=cancelled,
        )
