"""One message's three sources, compiled together; rendered as they are, or with parts encoded ahead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mailengine.domain.content.merge import Known, compile_template

Encode = Callable[[str], str]


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Rendered:
    subject: str
    html: str
    text: str


def _as_it_is(text: str) -> str:
    return text


class CompiledMessage:
    """Subject, HTML and text of a message. `static` and `value` encode the bodies' parts: `static` once for
    what all recipients share, `value` for each value that is merged in."""

    def __init__(
        self,
        *,
        subject: str,
        html: str,
        text: str,
        static: Encode = _as_it_is,
        value: Encode = _as_it_is,
    ) -> None:
        self._subject = compile_template(subject, target="header")
        self._html = compile_template(html, target="html", static=static, value=value)
        self._text = compile_template(text, target="text", static=static, value=value)
        parts = (self._subject, self._html, self._text)
        # A known attribute that this contact lacks is empty; the checklist counts such contacts beforehand.
        self._blank = dict.fromkeys((name for part in parts for name in part.names), "")

    def render(self, values: Mapping[str, object]) -> Rendered:
        """Raises merge.RenderError when a value does not fit what the template does with it."""
        known = Known({**self._blank, **values})
        return Rendered(self._subject.render(known), self._html.render(known), self._text.render(known))

    def render_between(
        self, values: Mapping[str, object], head: str, between: str, tail: str
    ) -> tuple[str, str]:
        """The subject, and one text of `head`, the text, `between`, the HTML and `tail`; raises like `render`."""
        known = Known({**self._blank, **values})
        parts = [head]
        self._text.render_into(parts, known)
        parts.append(between)
        self._html.render_into(parts, known)
        parts.append(tail)
        return self._subject.render(known), "".join(parts)
