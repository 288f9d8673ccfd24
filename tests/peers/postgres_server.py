"""One PostgreSQL for all workers of a session, as a non-root user, without fsync."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from peers.ports import LOOPBACK, wait_until
from peers.processes import spawn
from peers.started import Started, on_free_port

# Durability is not under test here, and fsync would be most of the time of every transaction.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
    "autovacuum": "off",
    "timezone": "UTC",
}


def programs() -> Path | None:
    """The directory of the newest PostgreSQL's programs."""
    packaged = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if packaged:
        return max(packaged, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def lacking() -> str | None:
    if programs() is None:
        return "no PostgreSQL server"
    return "no non-root user to run it" if os.geteuid() == 0 and not _unprivileged() else None


def _unprivileged() -> pwd.struct_passwd | None:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known.get("nobody")


def start(directory: Path) -> Started:
    """initdb refuses root, so that all of it runs as the distribution's user when we are root."""
    who: dict[str, Any] = {}
    if os.geteuid() == 0 and (entry := _unprivileged()):
        who = {"user": entry.pw_name, "group": entry.pw_gid}
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    bin_, data, log = programs(), directory / "data", directory.with_name("postgres-server.log")
    assert bin_ is not None
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run([bin_ / "initdb", "-D", data, *options], check=True, cwd="/", **who)
    with (data / "postgresql.conf").open("a") as conf:  # in its file, so that ALTER SYSTEM has the last word
        conf.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())

    def launch(port: int) -> "subprocess.Popen[bytes]":
        place = ["-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", str(directory)]
        with log.open("ab") as handle:
            return spawn([bin_ / "postgres", *place], log=handle, parent_death=signal.SIGQUIT, **who)

    process, port = on_free_port(launch, "PostgreSQL", log)
    # It takes connections before it serves: "the database system is starting up".
    ask = [str(bin_ / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    wait_until(lambda: subprocess.run(ask, check=False).returncode == 0, "PostgreSQL serves")
    # SIGINT is PostgreSQL's fast shutdown: sessions that a test left open do not hold it up.
    return Started(process, {"port": port}, stop_signal=signal.SIGINT)
