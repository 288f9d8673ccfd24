"""`mailengine healthcheck`: ask the daemon how it is, for containers and cron."""

import json
from pathlib import Path
from typing import Annotated
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import typer

from mailengine.cli import output
from mailengine.cli.session import settings_of
from mailengine.core.errors import Unavailable

_SECONDS = 5
_ANNOUNCEMENTS = ("health.json", "daemon.json")


def healthcheck(
    ctx: typer.Context,
    whole: Annotated[
        bool, typer.Option("--whole", help="The whole installation, not only the daemon of this machine.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Ask this machine's daemon whether it can serve; exit code 0 when it can."""
    url = _announced(settings_of(ctx).data_dir) + ("/health" if whole else "/readyz")
    status, body = _ask(url)
    try:
        told = json.loads(body) if whole else {"problem": "" if status == 200 else body}
    except ValueError:
        told = {"problem": body}
    healthy = status == 200
    answer = {"healthy": healthy, "url": url, **told}
    output.emit(answer, as_json=as_json)
    if not healthy:
        raise typer.Exit(1)


def _announced(data_dir: Path) -> str:
    """Where the daemon said that it answers."""
    for name in _ANNOUNCEMENTS:
        try:
            return str(json.loads((data_dir / name).read_text())["url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    raise Unavailable("no daemon answers here: it does not run, or has neither the role web nor health.port")


def _ask(url: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url), timeout=_SECONDS) as answer:  # noqa: S310  # the daemon's own announcement
            return int(answer.status), answer.read().decode(errors="replace")
    except HTTPError as error:
        return int(error.code), error.read().decode(errors="replace")
    except (URLError, OSError, ValueError) as error:
        raise Unavailable(f"the daemon does not answer at {url}: {error}") from error
