"""Only one process of a machine runs an import: a lock on a file, gone the moment its holder dies.

What runs on another machine is told apart by the job's run (`jobs.of_run`), as it cannot be seen from here.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailengine.core.errors import Conflict


@contextmanager
def alone(folder: Path, job_id: int) -> Iterator[None]:
    """Raises Conflict while another process runs the import."""
    path = folder / f"{job_id}.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"import {job_id} is running in another process; wait for it, or end it with"
                f" `mailengine jobs cancel {job_id}`"
            ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
