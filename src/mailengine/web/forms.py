"""What a person typed into a form, and what is wrong with it, field by field.

    form = await Form.of(request)
    with form.checking("name"):
        name = check_name(form.text("name"))
    if form.failed: show the page again with `form`, status 422

A form posts to the address that shows it, so that the answer to a mistake is the same page with the errors beside
their fields and all that was typed still there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from litestar import Request
from litestar.datastructures import UploadFile

from mailengine.core.errors import Conflict, InvalidInput, NotFound, Refused

MAX_FIELD_CHARS = 1_000_000  # a template; what is sensible for a field is its rule's business


class Form:
    """The fields of a POST, or the values to begin with; templates ask `value` and `error`."""

    def __init__(self, initial: Mapping[str, object] | None = None) -> None:
        self._values: dict[str, list[str]] = {
            name: [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]
            for name, value in (initial or {}).items()
            if value is not None
        }
        self._errors: dict[str, str] = {}
        self._sent = False

    @classmethod
    async def of(cls, request: Request[Any, Any, Any]) -> "Form":
        """What was sent; files are left out."""
        form = cls()
        form._sent = True
        for name, value in (await request.form()).multi_items():
            if not isinstance(value, UploadFile):
                form._values.setdefault(name, []).append(_clean(str(value)))
        return form

    def value(self, name: str, default: object = "") -> str:
        """For templates: what was typed, else where the field begins."""
        found = self._values.get(name)
        return found[0] if found else ("" if self._sent else str(default))

    def error(self, name: str) -> str:
        return self._errors.get(name, "")

    def text(self, name: str) -> str:
        """The field without spaces around it; empty when it was not sent."""
        return self.value(name).strip()

    def texts(self, name: str) -> list[str]:
        """All fields of that name, such as the boxes that were ticked."""
        return self._values.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self.value(name))

    def number(self, name: str) -> int:
        """A whole number; raises InvalidInput."""
        text = self.text(name)
        if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 16):
            raise InvalidInput("give a whole number")
        return int(text)

    def ids(self, name: str = "ids") -> list[int]:
        """The rows that were ticked; what is no id was not made by our pages and is left out."""
        return [
            int(text) for text in self.texts(name) if text.isascii() and text.isdigit() and len(text) < 16
        ]

    def reject(self, name: str, message: str) -> None:
        """The first thing that is wrong with a field is said; the others wait."""
        self._errors.setdefault(name, sentence(message))

    @contextmanager
    def checking(self, name: str) -> Iterator[None]:
        """What the block refuses is said at this field. Open a transaction inside it: it rolls back first."""
        try:
            yield
        except Refused as error:
            self.reject(name, ": ".join([str(error), *error.reasons]))
        except (InvalidInput, Conflict, NotFound) as error:
            self.reject(name, str(error))

    @property
    def failed(self) -> bool:
        return bool(self._errors)


def sentence(message: str) -> str:
    """A message of the domain, which begins like a part of a line, as it stands beside a field."""
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?", "…")) else ".")


def _clean(text: str) -> str:
    """Without what no database stores (NUL, lone surrogates), and with the line ends of this house."""
    text = text[:MAX_FIELD_CHARS].replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")
    return text.encode(errors="replace").decode()
