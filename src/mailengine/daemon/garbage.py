"""How often the daemon's processes look for garbage: seldom, and never among what stays as long as they do."""

import gc

_NEW_OBJECTS = 20_000


def collect_seldom() -> None:
    """Called when a process has what it keeps. Every 700 new objects, as by default, a worker would go through its
    claims again and again, and a page would wait for a walk through everything imported: 180 ms instead of 30."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
