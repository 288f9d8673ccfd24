"""The built assets: from the name of a source to the address of what Vite made of it.

Invariant: file names in `dist/assets` carry a hash of their content, so their answers may be kept for ever.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from mailengine.core.log import get_logger

DIST = Path(__file__).parent / "static" / "dist"
URL = "/static"

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What Vite wrote; `built` is False for an installation without assets, whose pages have no styles."""

    files: dict[str, str]

    @property
    def built(self) -> bool:
        return bool(self.files)

    def url(self, name: str) -> str:
        """The address for `app.js`, `app.css` or `icons/favicon.svg`."""
        return f"{URL}/{self.files.get('src/' + name, name)}"


def load(dist: Path = DIST) -> Manifest:
    """Read the manifest once, when the app is made; says in the log what to do when there is none."""
    try:
        entries: dict[str, dict[str, str]] = json.loads((dist / "manifest.json").read_text())
    except FileNotFoundError:
        log.error(
            "web assets are not built: pages have no styles; run `pip install .` without MAILENGINE_SKIP_WEB"
        )
        return Manifest({})
    return Manifest({name: entry["file"] for name, entry in entries.items()})
