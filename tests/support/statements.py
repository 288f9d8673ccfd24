"""Statements are compiled once in a process, not once for each test.

SQLAlchemy keeps what it compiled per engine and per dialect object, and each test has an engine of its own; compiling
was a quarter of what the tests within one process took. Here dialects of one class and server version are one, and
all engines share their cache.
"""

from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

_STATEMENTS = 5_000


def share_compiled() -> None:
    shared: LRUCache[Any, Any] = LRUCache(_STATEMENTS)
    make = Engine.__init__

    def __init__(self: Engine, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self._compiled_cache = shared

    def __eq__(self: DefaultDialect, other: object) -> bool:
        return type(self) is type(other) and vars(self).get("server_version_info") == vars(other).get(
            "server_version_info"
        )

    def __hash__(self: DefaultDialect) -> int:
        return hash(type(self))

    for_good = pytest.MonkeyPatch()
    for_good.setattr(Engine, "__init__", __init__)
    for_good.setattr(DefaultDialect, "__eq__", __eq__)
    for_good.setattr(DefaultDialect, "__hash__", __hash__)
