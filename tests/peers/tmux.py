"""A terminal that nobody sees: tmux on a socket of its own, keys in, the screen out."""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

# What makes a screen flicker: clearing all of it, from the cursor on, or a line, before it is written anew.
_CLEARING = re.compile(rb"\x1b\[[0-3]?[JK]|\x1bc")


def clearings(written: bytes) -> int:
    """How often a program has cleared something, in what `record` has kept."""
    return len(_CLEARING.findall(written))


class Terminal:
    """Runs a program at a size until `stop`; its screen is what a person would see."""

    def __init__(
        self, socket: Path, command: Sequence[str], *, width: int, height: int, **environment: str
    ) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        # COLUMNS and LINES, which xdist sets, would be believed instead of the terminal.
        ours = ("TMUX", "MAILENGINE_", "COLUMNS", "LINES")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment = {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
        self._run("new-session", "-d", "-x", str(width), "-y", str(height), *command)
        self._run("set-option", "remain-on-exit", "on")

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def record(self, path: Path) -> None:
        """From now on all that the program writes to the terminal is in this file too."""
        self._run("pipe-pane", f"exec cat >> {shlex.quote(str(path))}")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: `Enter`, `Escape`, `q`."""
        self._run("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    @property
    def pid(self) -> int:
        """Of the program."""
        return int(self._run("display-message", "-p", "#{pane_pid}"))

    @property
    def ended(self) -> bool:
        return self._run("display-message", "-p", "#{pane_dead}").strip() == "1"

    def stop(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False, timeout=10)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env=self._environment,
        )
        return done.stdout
