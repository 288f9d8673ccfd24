"""HTML answers: Jinja templates with autoescape, where a variable that is missing is an error."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.connection import ASGIConnection

from mailengine.web.browsers import browser_name
from mailengine.web.manifest import Manifest

TEMPLATES = Path(__file__).parent / "templates"
THEMES = ("light", "dark")
_NAME = re.compile(r"[a-z0-9_]+")


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
    env.globals["search_of"] = search_of
    env.filters["browser"] = browser_name
    env.filters["pairs"] = pairs
    env.filters["triples"] = triples
    env.filters["capfirst"] = capfirst
    env.filters["worded"] = worded
    return env


def pairs(rows: Iterable[object], value: str, label: str) -> list[tuple[object, object]]:
    """The options of a choice: two attributes of each row."""
    return [(getattr(row, value), getattr(row, label)) for row in rows]


def triples(rows: Iterable[object]) -> list[tuple[object, object, str]]:
    """The options of boxes to tick, without a hint."""
    return [(*pair, "") for pair in pairs(rows, "id", "name")]


def search_of(kind: str, name: str) -> dict[str, str]:
    """The attributes of the field `name`, in which one of many is named: what is typed there brings the names that
    hold it (pages/choices.py) into the datalist `name-names`."""
    return {
        "list": f"{name}-names",
        "hx-get": f"/choices/{kind}?of={name}",
        "hx-trigger": "input delay:200ms, focus once",
        "hx-target": f"#{name}-names",
        "hx-swap": "innerHTML",
        "hx-push-url": "false",
        "hx-sync": "this:replace",
        "maxlength": "200",
        "autocomplete": "off",
        "spellcheck": "false",
    }


def theme_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The theme that the reader chose; the cookie is theirs to write, so only known words count."""
    chosen = connection.cookies.get("theme", "")
    return chosen if chosen in THEMES else ""


def html(body: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(body, media_type=MediaType.HTML, status_code=status, headers=headers)


def worded(label: str) -> str:
    """An attribute's label; one that is only its name, as `signed_up`, reads as words."""
    return capfirst(label.replace("_", " ")) if _NAME.fullmatch(label) else label


def capfirst(text: str) -> str:
    """A message of the domain, which begins like a part of a line, as the beginning of one."""
    return text[:1].upper() + text[1:]
