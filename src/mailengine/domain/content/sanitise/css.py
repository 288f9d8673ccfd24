"""Style sheets and style attributes, cleaned token by token (CSS Syntax Level 3, by tinycss2).

Invariants: no `@import`, no font or script from elsewhere, no `expression()`, `behavior` or `-moz-binding`,
no URL but http, https and cid; the text that is given back is written from what was parsed and holds nothing
that could end a `<style>` element or a comment.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import tinycss2

from mailengine.domain.content.sanitise.keep import WORD
from mailengine.domain.content.urls import IMAGE_SCHEMES, is_allowed, normalise

MAX_SHEET_CHARS = 200_000
MAX_ATTRIBUTE_CHARS = 20_000
MAX_NESTING = 32  # tinycss2 writes nested blocks recursively
_MAX_AT_DEPTH = 4

_FUNCTIONS = frozenset(
    {
        *("url", "rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix"),
        *("light-dark", "calc", "min", "max", "clamp", "var", "env", "attr", "counter", "counters", "format"),
        *("local", "repeat", "minmax", "fit-content", "linear-gradient", "radial-gradient", "conic-gradient"),
        *(
            "repeating-linear-gradient",
            "repeating-radial-gradient",
            "-webkit-linear-gradient",
            "cubic-bezier",
        ),
        *(
            "-webkit-gradient",
            "-moz-linear-gradient",
            "-o-linear-gradient",
            "from",
            "to",
            "color-stop",
            "steps",
        ),
        *(
            "translate",
            "translatex",
            "translatey",
            "translate3d",
            "rotate",
            "scale",
            "scalex",
            "scaley",
            "skew",
        ),
        *("skewx", "skewy", "matrix", "perspective", "blur", "brightness", "contrast", "drop-shadow", "rect"),
        *("grayscale", "hue-rotate", "invert", "opacity", "saturate", "sepia", "ellipse", "circle", "inset"),
    }
)
_REFUSED_PROPERTIES = frozenset({"behavior", "-ms-behavior", "-moz-binding", "binding"})
_PROPERTY = re.compile(r"-{0,2}[a-z_][a-z0-9_-]*", re.I)
_RULE_HOLDERS = frozenset({"media", "supports"})
_FRAMES = frozenset({"keyframes", "-webkit-keyframes", "-moz-keyframes"})
_DECLARATION_HOLDERS = frozenset({"page", "-ms-viewport", "viewport"})

# What most style attributes look like: no function, no escape, no quote but a font's name.
_VALUE = r"(?:[A-Za-z0-9#%.,+ \t\n_-]++|'[A-Za-z0-9 _-]*+'|![ ]?important)"
_SIMPLE = re.compile(rf"\s*+(?:[a-z-]++[ \t\n]*+:{_VALUE}+(?:;\s*+|\Z))*")
_SUSPECT = re.compile(r"behavior|binding|expression|javascript", re.I)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Cleaned CSS and what was taken out of it."""

    text: str
    removed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Removed:
    whats: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        if len(self.whats) < 50:
            self.whats.append(what)


def clean_declarations(text: str) -> Cleaned:
    """A style attribute's value, its merge tags as words."""
    text = text.strip()
    if not _SUSPECT.search(text) and _SIMPLE.fullmatch(text):
        return Cleaned(text)
    return _slow_declarations(text) if WORD.search(text) else _cached_declarations(text)


def _slow_declarations(text: str) -> Cleaned:
    refusal = _refusal(text, MAX_ATTRIBUTE_CHARS)
    if refusal:
        return Cleaned("", (refusal,))
    removed = _Removed()
    nodes = tinycss2.parse_declaration_list(text, skip_comments=False, skip_whitespace=True)
    cleaned = _safe_text(_joined(_statements(nodes, removed)))
    if "'" not in cleaned and "\\" not in cleaned:
        cleaned = cleaned.replace('"', "'")  # an attribute would spell each as &quot;
    return Cleaned(cleaned, tuple(removed.whats))


_cached_declarations = lru_cache(maxsize=2_048)(_slow_declarations)


def clean_sheet(text: str) -> Cleaned:
    """The content of a `<style>` element, its merge tags as words."""
    refusal = _refusal(text, MAX_SHEET_CHARS)
    if refusal:
        return Cleaned("", (refusal,))
    removed = _Removed()
    nodes = tinycss2.parse_stylesheet(text, skip_comments=False, skip_whitespace=True)
    rules = list(_rules(nodes, removed, 0))
    joined = "\n".join(rules)
    return Cleaned(_safe_text(f"\n{joined}\n") if joined else "", tuple(removed.whats))


def _refusal(text: str, limit: int) -> str | None:
    if len(text) > limit:
        return f"styles of more than {limit} characters"
    depth = deepest = 0
    for character in re.findall(r"[(\[{)\]}]", text):
        depth = depth + 1 if character in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return "styles nested too deeply" if deepest > MAX_NESTING else None


def _safe_text(text: str) -> str:
    """CSS that cannot end the element or comment around it, nor open a merge tag (`{#id…}` when minified)."""
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\3c ", text).replace("-->", "-- >").replace("--!>", "-- !>")
    return re.sub(r"\{(?=[{%#])", "{ ", text)


def _rules(nodes: Iterable[Any], removed: _Removed, depth: int) -> Iterable[str]:
    for node in nodes:
        if node.type == "comment":
            yield from _kept_comment(node)
        elif node.type == "qualified-rule":
            yield from _style_rule(node, removed)
        elif node.type == "at-rule":
            yield from _at_rule(node, removed, depth)
        else:
            removed.add("a style rule that cannot be read")


def _kept_comment(node: Any) -> Iterable[str]:
    if WORD.fullmatch(node.value):
        yield f"/*{node.value}*/"


def _style_rule(node: Any, removed: _Removed) -> Iterable[str]:
    selector = _prelude(node.prelude)
    if not selector:
        removed.add("a style rule with a selector that cannot be read")
        return
    body = tinycss2.parse_declaration_list(node.content, skip_comments=False, skip_whitespace=True)
    yield _block(selector, _statements(body, removed))


def _block(head: str, statements: Iterable[str]) -> str:
    return f"{head} {{{_joined(statements)}}}"


def _joined(statements: Iterable[str]) -> str:
    """Declarations parted by semicolons; merge tags between them (as comments) need none."""
    parts = [text if text.startswith("/*") else f"{text};" for text in statements]
    return "".join(parts).removesuffix(";") if parts and not parts[-1].startswith("/*") else "".join(parts)


def _at_rule(node: Any, removed: _Removed, depth: int) -> Iterable[str]:
    name = node.lower_at_keyword
    cleaner = _AT_RULES.get(name)
    head = f"@{name} {_prelude(node.prelude)}".strip()
    if cleaner is None or node.content is None or depth >= _MAX_AT_DEPTH:
        removed.add(f"@{name[:40]} rule")
        return
    text = cleaner(head, node, removed, depth)
    if text is not None:
        yield text


def _nested_rules(head: str, node: Any, removed: _Removed, depth: int) -> str | None:
    nodes = tinycss2.parse_rule_list(node.content, skip_comments=False, skip_whitespace=True)
    inside = "\n".join(_rules(nodes, removed, depth + 1))
    return f"{head} {{\n{inside}\n}}"


def _declared(head: str, node: Any, removed: _Removed, _depth: int) -> str | None:
    body = tinycss2.parse_declaration_list(node.content, skip_comments=False, skip_whitespace=True)
    return _block(head, _statements(body, removed))


def _font_face(head: str, node: Any, removed: _Removed, depth: int) -> str | None:
    """Fonts that the reader's machine has (`local()`) stay; no others, they would be loaded from elsewhere."""
    if any(_is_url(part) for part in _flat(node.content)):
        removed.add("@font-face from another server")
        return None
    return _declared(head, node, removed, depth)


_AtRule = Callable[[str, Any, _Removed, int], str | None]
_AT_RULES: dict[str, _AtRule] = {
    **dict.fromkeys(_RULE_HOLDERS | _FRAMES, _nested_rules),
    **dict.fromkeys(_DECLARATION_HOLDERS, _declared),
    "font-face": _font_face,
}


def _prelude(tokens: list[Any]) -> str:
    """A selector or condition as it was read; empty when it holds what no client reads."""
    for token in _flat(tokens):
        if token.type in ("error", "{} block") or _is_url(token):
            return ""
    return _without_comments(tokens)


def _without_comments(tokens: list[Any]) -> str:
    kept = [t for t in tokens if t.type != "comment" or WORD.fullmatch(t.value)]
    return str(tinycss2.serialize(kept)).strip()


def _statements(nodes: Iterable[Any], removed: _Removed) -> Iterable[str]:
    for node in nodes:
        if node.type == "comment":
            yield from _kept_comment(node)
        elif node.type == "declaration":
            refusal = _refused_declaration(node)
            if refusal:
                removed.add(refusal)
            else:
                yield _declaration(node)
        else:
            removed.add("a style that cannot be read")


def _declaration(node: Any) -> str:
    important = " !important" if node.important else ""
    return f"{node.name}:{_without_comments(node.value)}{important}"


def _refused_declaration(node: Any) -> str | None:
    name = str(node.lower_name)
    if name in _REFUSED_PROPERTIES or not _PROPERTY.fullmatch(str(node.name)):
        return f"style {name[:40]}"
    for token in _flat(node.value):
        if token.type in ("error", "{} block", "at-keyword"):
            return f"a value of style {name[:40]} that cannot be read"
        if token.type == "function" and token.lower_name not in _FUNCTIONS:
            return f"{str(token.lower_name)[:40]}() in style {name[:40]}"
        if _is_url(token) and not _is_safe_url(_url_of(token)):
            return f"an address in style {name[:40]}"
    return None


def _flat(tokens: Iterable[Any]) -> Iterable[Any]:
    """Every token at every depth; depth was bounded before."""
    for token in tokens:
        yield token
        inside = getattr(token, "arguments", None) or getattr(token, "content", None)
        if isinstance(inside, list):
            yield from _flat(inside)


def _is_url(token: Any) -> bool:
    return bool(token.type == "url" or (token.type == "function" and token.lower_name == "url"))


def _url_of(token: Any) -> str:
    if token.type == "url":
        return str(token.value)
    strings = [str(part.value) for part in token.arguments if part.type == "string"]
    return strings[0] if len(strings) == 1 else "invalid:"


def _is_safe_url(url: str) -> bool:
    """http, https or cid, spelt out; or a merge tag at the beginning, which is filtered when rendered."""
    url = normalise(url)
    word = WORD.search(url)
    if word is None:
        return is_allowed(url, [], IMAGE_SCHEMES)
    if word.start() == 0:
        return ":" not in WORD.sub("", url)
    return re.match(r"https?://[^/]|cid:", url[: word.start()], re.I) is not None
