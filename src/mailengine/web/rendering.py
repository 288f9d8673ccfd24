"""HTML answers: Jinja templates with autoescape, where a variable that is missing is an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.connection import ASGIConnection

from mailengine.web.manifest import Manifest

TEMPLATES = Path(__file__).parent / "templates"
THEMES = ("light", "dark")


def environment(manifest: Manifest) -> Environment:
    """One for the life of the app; the templates do not change while it runs."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals["asset"] = manifest.url
    return env


def theme_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The theme that the reader chose; the cookie is theirs to write, so only known words count."""
    chosen = connection.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def html(body: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(body, media_type=MediaType.HTML, status_code=status, headers=headers)
