"""The API's document (OpenAPI 3.1) as JSON, and as a page that loads nothing from elsewhere."""

from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from mailengine import __version__
from mailengine.web.api.shapes import Given
from mailengine.web.rendering import html, theme_of
from mailengine.web.session import COOKIE, CSRF_HEADER
from mailengine.web.site import Site

DESCRIPTION = (
    "Send `Authorization: Bearer KEY` with a key from `mailengine api-key create`. Pages of this installation may "
    f"use their login session instead, with its CSRF token in the header `{CSRF_HEADER}`."
)
METHODS = ("get", "post", "put", "patch", "delete")


def config() -> OpenAPIConfig:
    """Routes that are not the API's are left out by their routers. `path` is Litestar's own place for it."""
    return OpenAPIConfig(
        title="mailengine",
        version=__version__,
        description=DESCRIPTION,
        path="/api/schema",
        render_plugins=[JsonRenderPlugin()],
        use_handler_docstrings=True,
        security=[{"key": []}, {"session": []}],
        components=Components(
            security_schemes={
                "key": SecurityScheme(type="http", scheme="bearer"),
                "session": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
            }
        ),
    )


@get("/api/openapi.json", sync_to_thread=False, include_in_schema=False)
def document(request: Request[Any, Any, State]) -> dict[str, Any]:
    """The document for programs."""
    return document_of(request.app)


@get("/api/docs", include_in_schema=False)
async def page(request: Request[Any, Any, State], site: NamedDependency[Site]) -> Response[str]:
    """The operations as a plain page; the JSON document has the details."""
    schema = document_of(request.app)
    body = site.render(
        "public/api.html", theme=theme_of(request), title=schema["info"]["title"], groups=groups(schema)
    )
    return html(body)


def document_of(app: Litestar) -> dict[str, Any]:
    """The document, made once; it says of every body what Litestar leaves out: no other fields."""
    found: dict[str, Any] | None = app.state.get("document")
    if found is None:
        found = app.state.document = app.openapi_schema.to_schema()
        for struct in Given.__subclasses__():
            found["components"]["schemas"][struct.__name__]["additionalProperties"] = False
    return found


def groups(schema: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    """The operations by their tag, each by its path."""
    found: dict[str, list[dict[str, str]]] = {}
    for path, item in sorted(schema["paths"].items()):
        for method in METHODS:
            if method in item:
                operation = item[method]
                found.setdefault(operation["tags"][0], []).append(
                    {
                        "method": method.upper(),
                        "path": path,
                        "summary": operation.get("summary", ""),
                        "description": operation.get("description", ""),
                    }
                )
    return found
