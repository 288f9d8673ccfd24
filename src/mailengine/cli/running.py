"""Whether a daemon runs on this data directory: it says so in `daemon.json`."""

import json
import os
from pathlib import Path


def daemon_runs(data_dir: Path) -> bool:
    """True when the process that wrote `daemon.json` is alive. A daemon of another machine is not seen."""
    try:
        pid = int(json.loads((data_dir / "daemon.json").read_text())["pid"])
        os.kill(pid, 0)
    except PermissionError:  # it lives, and belongs to another user
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
