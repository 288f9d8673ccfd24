"""Processes that tests start: they die with the process that started them, and none outlives the session.

Invariant: every process below a test session carries the session's run directory in its environment
(`RUN_VARIABLE`; Postfix's daemons, which clear theirs, in MAIL_CONFIG), so that `left_over` finds it even
when it has become a daemon.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

RUN_VARIABLE = "MAILENGINE_TEST_RUN"
PR_SET_PDEATHSIG = 1
TESTS = Path(__file__).resolve().parents[1]


def die_with_parent(signum: int = signal.SIGKILL) -> Callable[[], None] | None:
    """A preexec function: the kernel sends `signum` when the parent goes, also by `kill -9`."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def spawn(
    command: Sequence[str | Path],
    *,
    log: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    group: int | None = None,
    parent_death: int = signal.SIGKILL,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout if stdout is not None else log,
        stderr=log,
        cwd="/",
        env={**os.environ, **(env or {})},
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        start_new_session=True,  # a Ctrl-C is for pytest alone: the peers must outlive the teardown
        preexec_fn=die_with_parent(parent_death),
    )


def python_path() -> dict[str, str]:
    """The environment in which `peers` can be imported."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))}


def spawn_module(module: str, *arguments: str, log: IO[bytes] | None = None) -> "subprocess.Popen[bytes]":
    """`python -m module` with tests/ importable and its stdout readable."""
    return spawn(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        log=log,
        env=python_path(),
    )


def stop(process: "subprocess.Popen[bytes]", signum: int = signal.SIGTERM, seconds: float = 10) -> None:
    if process.poll() is None:
        process.send_signal(signum)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def alive(pid: int) -> bool:
    """A zombie is not alive: nothing but its parent's wait is missing."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def left_over(run: Path) -> list[psutil.Process]:
    """Living processes that belong to the session of this run directory, but the caller and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and _belongs(process, run)]


def _belongs(process: psutil.Process, run: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return str(run) in " ".join([*process.environ().values(), *process.cmdline()])
    except psutil.Error:
        return False


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return str(process.pid)
