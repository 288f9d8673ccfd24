"""SQLite keeps no account of its memory: each allocation would wait for one lock of the whole process.

Counting a segment reads a JSON text for each contact, which allocates: four connections at once took twice as long as
one (2.5 s for a million contacts), and take half of its time without the account (0.6 s). Nothing here asks for it.

https://sqlite.org/c3ref/c_config_covering_index_scan.html#sqliteconfigmemstatus: to be said before the library is
used for the first time, which is when Python's module is imported. Later, or in a Python that has SQLite built in, it
is refused and all is as before.
"""

import ctypes
from contextlib import suppress
from importlib.machinery import PathFinder

_MEMSTATUS = 9  # SQLITE_CONFIG_MEMSTATUS


def without_memory_account() -> None:
    found = PathFinder.find_spec("_sqlite3")
    if found is not None and found.origin is not None:
        with suppress(OSError, AttributeError):
            # Python's module, and so the library that it is linked to.
            ctypes.CDLL(found.origin).sqlite3_config(_MEMSTATUS, 0)
