"""What is asked of an import and what it is given, before anything is read or stored."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mailengine.core.clock import Clock
from mailengine.core.errors import InvalidInput, Unavailable
from mailengine.core.scope import Grant, Scope
from mailengine.db.unit import Database, ReadTx
from mailengine.domain.contacts import attributes
from mailengine.domain.contacts.imports.plan import OnDuplicate
from mailengine.domain.contacts.imports.report import ImportProgress
from mailengine.domain.contacts.imports.source import Source, understand
from mailengine.domain.contacts.imports.store import Rules

FOLDER = "imports"  # of the data directory: error files, uploads, what is being unpacked


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a person asked for. `mapping` is header → field, attribute or `ignore`."""

    path: Path
    list_name: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    on_duplicate: OnDuplicate = OnDuplicate.UPDATE
    consent_source: str = ""  # default: the file's name
    encoding: str | None = None
    delimiter: str | None = None
    part: str | None = None  # a sheet, or a file of an archive
    tags: tuple[str, ...] = ()  # for everybody in the file
    name: str = ""  # shown in place of the path
    override_suppression: bool = False  # brings back who left; needs the right to manage, and is audited

    @property
    def consent(self) -> str:
        """How they agreed (or left) where the file does not say."""
        return (self.consent_source or f"import of {self.name or self.path.name}")[:200]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path.absolute()), "mapping": dict(self.mapping)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImportRequest":
        rule = OnDuplicate(values["on_duplicate"])
        given = {**values, "path": Path(values["path"]), "on_duplicate": rule}
        return cls(**{**given, "tags": tuple(values.get("tags", ()))})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an import is given besides its request; the hooks are called on the event loop, once a batch."""

    db: Database
    clock: Clock
    data_dir: Path
    hash_key: bytes  # keyring.derive_for_ever(suppression.HASH_PURPOSE)
    progress: Callable[[ImportProgress], None] = lambda _progress: None
    cancelled: Callable[[], bool] = lambda: False


async def with_kinds(tx: ReadTx, scope: Scope, source: Source) -> Source:
    """The source with its attributes as the tenant knows them; raises InvalidInput for a contradiction."""
    kinds = await attributes.reconcile(tx, scope, source.kinds, source.columns.said_kinds)
    return replace(source, kinds=kinds)


def check_rights(scope: Scope, request: ImportRequest) -> None:
    scope.require(Grant.EDIT)
    if request.override_suppression:
        scope.require(Grant.MANAGE)


def read_source(request: ImportRequest, folder: Path, *, unfinished: bool = False) -> Source:
    """`folder` takes what has to be unpacked, and lives as long as the source."""
    try:
        return understand(
            request.path,
            mapping=request.mapping,
            folder=folder,
            encoding=request.encoding,
            delimiter=request.delimiter,
            part=request.part,
            unfinished=unfinished,
        )
    except (InvalidInput, Unavailable) as error:
        if not request.name:
            raise
        raise type(error)(str(error).replace(str(request.path), request.name)) from error


def rules_of(request: ImportRequest, source: Source, around: Surroundings, *, list_id: int | None) -> Rules:
    return Rules(
        list_id=list_id,
        on_duplicate=request.on_duplicate,
        columns=source.written,
        consent=(request.consent, around.clock.now(), ""),
        hash_key=around.hash_key,
        tags=request.tags,
        override=request.override_suppression,
    )


def errors_path(data_dir: Path, job_id: int) -> Path:
    return data_dir / FOLDER / f"{job_id}-errors.csv"
