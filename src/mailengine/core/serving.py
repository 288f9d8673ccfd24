"""`daemon.json` in the data directory: which process serves the installation on this machine."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Serving:
    """The daemon that serves here; `url` is where it answers on this machine."""

    pid: int
    url: str


def serving_here(data_dir: Path) -> Serving | None:
    """The daemon that wrote `daemon.json`, if its process is alive."""
    try:
        told = json.loads((data_dir / "daemon.json").read_text())
        found = Serving(int(told["pid"]), str(told["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if _lives(found.pid) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # it belongs to another user
        return True
    except OSError:
        return False
    return True
