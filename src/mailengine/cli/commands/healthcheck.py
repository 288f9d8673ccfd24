"""`mailengine healthcheck`: ask the daemon how it is, for containers and cron."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import typer

from mailengine.cli import output
from mailengine.cli.session import settings_of
from mailengine.core.errors import Unavailable

if TYPE_CHECKING:
    from mailengine.core.config import Settings

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
    url, status, body = _ask_first(settings_of(ctx), "/health" if whole else "/readyz")
    try:
        told = json.loads(body) if whole else {"problem": "" if status == 200 else body}
    except ValueError:
        told = {"problem": body}
    healthy = status == 200
    answer = {"healthy": healthy, "url": url, **told}
    output.emit(answer, as_json=as_json)
    if not healthy:
        raise typer.Exit(1)


def _ask_first(settings: "Settings", path: str) -> tuple[str, int, str]:
    """The URL that was asked, status and body. Containers may share a data directory: what another one announced
    leads nowhere in this one, so the next is asked."""
    trouble = "no daemon answers here: it does not run, or has neither the role web nor health.port"
    for url in _places(settings):
        try:
            return (url + path, *_ask(url + path))
        except (URLError, OSError, ValueError) as error:
            trouble = f"the daemon does not answer at {url}{path}: {error}"
    raise Unavailable(trouble)


def _places(settings: "Settings") -> Iterator[str]:
    """Where a daemon may answer: the health port of the settings, else what daemons on this directory said."""
    from mailengine.daemon.listening import local_url  # deferred: `--help` must stay quick

    if settings.health.port:
        yield local_url(settings.health.host, settings.health.port)
    for name in _ANNOUNCEMENTS:
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield str(json.loads((settings.data_dir / name).read_text())["url"])


def _ask(url: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url), timeout=_SECONDS) as answer:  # noqa: S310  # the daemon's own announcement
            return int(answer.status), answer.read().decode(errors="replace")
    except HTTPError as error:
        return int(error.code), error.read().decode(errors="replace")
