"""SQLite's account of its memory is off in every process that opens a database."""

import subprocess
import sys
from importlib.machinery import PathFinder

import pytest

pytestmark = pytest.mark.skipif(
    PathFinder.find_spec("_sqlite3") is None,
    reason="this Python has SQLite built in: nothing can be said to it",
)
_USED = """
import ctypes, _sqlite3, sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("CREATE TABLE some (value)")
library = ctypes.CDLL(_sqlite3.__file__)
library.sqlite3_memory_used.restype = ctypes.c_int64
print(library.sqlite3_memory_used())
"""


def _used_after(statement: str) -> int:
    """Bytes that SQLite accounts for, in a process that began with this."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{_USED}"], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("module", ["daemon.worker_process", "runtime"])
def test_nothing_is_accounted_for(module: str) -> None:
    assert _used_after(f"import mailengine.{module}") == 0


def test_a_library_in_use_is_left_alone() -> None:
    assert _used_after("import sqlite3\nimport mailengine.db") > 0
