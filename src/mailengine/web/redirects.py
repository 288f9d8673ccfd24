"""Where an answer sends the browser: always to a path of ours."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Response

HOME = "/"


def own_path(path: str, otherwise: str = HOME) -> str:
    """The path if it leads to a page of ours, so that a link to the login is no open redirect."""
    if not path.startswith("/") or not (path.isascii() and path.isprintable()) or "\\" in path:
        return otherwise
    parts = urlsplit(path)
    return otherwise if parts.scheme or parts.netloc or path.startswith("//") else path


def go_to(path: str) -> Response[Any]:
    """303: whatever the method was, the next is a GET."""
    return Response(None, status_code=303, headers={"Location": path})
