"""Links: which a message has, and how they are replaced by tracked ones.

The source is scanned, never parsed and written again: only values of attributes change, so that what was
sanitised stays what was sanitised. Every static http(s) link becomes `{{ click_url }}/N`, N being its index
in `Rewritten.links`. Links with merge tags are not tracked, but made safe: a value that begins a URL goes
through `safe_url` (`safe_image` in `src` and `background`), a value inside one through `urlencode`, and a value
in a style through `safe_css`. So every page passes `rewrite` before it is compiled, tracked or not.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

from mailengine.domain.content.lexing import MARK_PATTERN, MARK_START, TAG_BODY, Protected, Tag, protect
from mailengine.domain.content.urls import decode_attribute, normalise, split, tag_of

# Values that the program makes itself: they are URLs already and are neither tracked nor encoded.
SYSTEM_URLS = frozenset(
    {"unsubscribe_url", "resubscribe_url", "preferences_url", "view_online_url", "click_url", "open_url"}
)
PIXEL = (
    '<img src="{{ open_url }}" width="1" height="1" alt="" '
    'style="display:block;border:0;width:1px;height:1px" />'
)

_TAG = re.compile(rf"<([a-zA-Z][a-zA-Z0-9:]*)({TAG_BODY})>")
_ATTRIBUTE = re.compile(r"""([^\s"'=<>/]+)(\s*=\s*)("[^"]*"|'[^']*')""")
_STYLE_BLOCK = re.compile(r"<style\b[^>]*>.*?</style\s*>", re.I | re.S)
_STYLE_VALUE = re.compile(rf"""(url\(\s*["']?)?({MARK_PATTERN})""", re.I)
_TRACK_OFF = re.compile(r"""\s+data-track\s*=\s*(?:"off"|'off')""", re.I)
_TEXT_URL = re.compile(rf"""https?://(?:{MARK_PATTERN}|[^\s<>"{{}}|\\^`\[\]\ufdd0])+""", re.I)
_TRAILING = ".,;:!?'*_"
_ANCHOR = re.compile(rf"<a\b({TAG_BODY})>(?:(?P<text>.*?)(?=</a\s*>|<a\b|\Z))?", re.I | re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_BODY_END = re.compile(r"</body\s*>", re.I)
# Printed on every path, any of these ends the part of a URL in which a scheme could still be spelt.
_BEGUN = re.compile(r"[:/?#]")
_PLACEHOLDER_HOSTS = ("example.com", "example.org", "example.net", "yourdomain.com", "your-domain.com")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A message whose links are tracked; `links[N]` is where `{{ click_url }}/N` leads."""

    html: str
    text: str
    links: list[str]


@dataclass(frozen=True, slots=True)
class Link:
    """One `<a href>` of a source, entities decoded, merge tags as they stand."""

    url: str
    text: str
    line: int


def rewrite(html: str, text: str, *, click: bool, opens: bool) -> Rewritten:
    """Track the links of both parts and make the dynamic ones safe.

    Works on Jinja sources whose blocks and spintax are resolved. A link with `data-track="off"` keeps its
    address.
    """
    tracker = _Tracker(click=click)
    new_html = tracker.html(html)
    new_text = tracker.text(text)
    return Rewritten(with_pixel(new_html) if opens else new_html, new_text, tracker.links)


def with_pixel(html: str) -> str:
    """The page with the picture that reports an open, as the last thing of its body."""
    ends = list(_BODY_END.finditer(html))
    position = ends[-1].start() if ends else len(html)
    return html[:position] + PIXEL + html[position:]


class _Tracker:
    """Replaces links and numbers them over both parts of one message."""

    def __init__(self, *, click: bool) -> None:
        self.links: list[str] = []
        self._click = click
        self._index: dict[str, int] = {}

    def html(self, source: str) -> str:
        protected = protect(source)
        tracked = _TAG.sub(lambda m: self._tag(m, protected), protected.text)
        guarded = _STYLE_BLOCK.sub(lambda m: _guarded_style(m[0], protected.tags), tracked)
        return protected.restore(guarded)

    def text(self, source: str) -> str:
        protected = protect(source)
        return protected.restore(_TEXT_URL.sub(lambda m: self._bare(m[0], protected.tags), protected.text))

    def _tag(self, match: re.Match[str], page: Protected) -> str:
        name, body = match[1].lower(), match[2]
        tracked = self._click
        if _TRACK_OFF.search(body):
            tracked, body = False, _TRACK_OFF.sub("", body)
        rewrite_one: Callable[[re.Match[str]], str] = lambda m: self._attribute(m, name, tracked, page.tags)  # noqa: E731
        return f"<{match[1]}{_ATTRIBUTE.sub(rewrite_one, body)}>"

    def _attribute(self, match: re.Match[str], element: str, tracked: bool, tags: list[Tag]) -> str:
        name, equals, quoted = match.groups()
        attribute, value = name.lower(), quoted[1:-1]
        if attribute in ("src", "background") and MARK_START in value:
            return f"{name}{equals}{quoted[0]}{_guarded(value, tags, 'safe_image')}{quoted[0]}"
        if attribute == "style" and MARK_START in value:
            return f"{name}{equals}{quoted[0]}{_guarded_style(value, tags)}{quoted[0]}"
        if attribute != "href":
            return match[0]
        if MARK_START in value:
            return f"{name}{equals}{quoted[0]}{_guarded(value, tags, 'safe_url')}{quoted[0]}"
        url = normalise(decode_attribute(value))
        if not tracked or not _is_trackable(url) or not _leads_on_click(element):
            return match[0]
        return f"{name}{equals}{quoted[0]}{self._tracked(url)}{quoted[0]}"

    def _bare(self, found: str, tags: list[Tag]) -> str:
        if MARK_START in found:
            return _guarded(found, tags, "safe_url")
        url = _without_punctuation(found)
        if not self._click or not _is_trackable(url):
            return found
        return self._tracked(url) + found[len(url) :]

    def _tracked(self, url: str) -> str:
        index = self._index.setdefault(url, len(self.links))
        if index == len(self.links):
            self.links.append(url)
        return f"{{{{ click_url }}}}/{index}"


def _leads_on_click(element: str) -> bool:
    """Links and image maps, and Outlook's buttons (VML shapes), which are links too."""
    return element in ("a", "area") or element.startswith("v:")


def _is_trackable(url: str) -> bool:
    return re.match(r"https?://[^/?#]", url, re.I) is not None


def _without_punctuation(found: str) -> str:
    """A bare URL ends before the sentence's punctuation, and before a bracket that it did not open."""
    url = found.rstrip(_TRAILING)
    while url.endswith(")") and url.count(")") > url.count("("):
        url = url[:-1].rstrip(_TRAILING)
    return url


def _guarded(value: str, tags: list[Tag], head_filter: str) -> str:
    """The URL with each printed value filtered, by whether it may begin the URL or stands inside it."""
    parts: list[str] = []
    may_begin, is_begun, depth = True, False, 0
    for piece in split(value):
        tag = tag_of(piece, tags)
        if tag is None:
            is_begun = is_begun or (depth == 0 and _BEGUN.search(piece) is not None)
            may_begin = may_begin and not piece.strip()
            parts.append(piece)
        elif tag.kind == "value":
            parts.append(_filtered(tag, head_filter if may_begin else "urlencode"))
            may_begin = False
        else:
            depth += {"if": 1, "for": 1, "endif": -1, "endfor": -1}.get(tag.word, 0)
            # Each branch of a condition may be the first thing that is printed.
            may_begin = may_begin or (tag.kind == "block" and not is_begun)
            parts.append(piece)
    return "".join(parts)


def _guarded_style(text: str, tags: list[Tag]) -> str:
    """CSS with each printed value held to what a style needs, or to an image's address in `url(…)`."""

    def guard(match: re.Match[str]) -> str:
        tag = tag_of(match[2], tags)
        assert tag is not None
        if tag.kind != "value":
            return match[0]
        return (match[1] or "") + _filtered(tag, "safe_image" if match[1] else "safe_css")

    return _STYLE_VALUE.sub(guard, text)


def _filtered(tag: Tag, filter_name: str) -> str:
    inner = tag.inner
    if inner in SYSTEM_URLS or re.search(rf"\|\s*(?:{filter_name}|urlencode)$", inner):
        return tag.text
    plain = re.fullmatch(r"[A-Za-z][\w.]*", inner) is not None
    return f"{{{{ {inner}|{filter_name} }}}}" if plain else f"{{{{ ({inner})|{filter_name} }}}}"


def links_in(html: str) -> list[Link]:
    """Every `<a>` with an href, in order, for the checklist."""
    page = protect(_COMMENT.sub(lambda m: "\n" * m[0].count("\n"), html))
    return [link for match in _ANCHOR.finditer(page.text) if (link := _link(match, page)) is not None]


def _link(match: re.Match[str], page: Protected) -> Link | None:
    for name, _, quoted in _ATTRIBUTE.findall(match[1]):
        if name.lower() == "href":
            url = page.restore(normalise(decode_attribute(quoted[1:-1])))
            words = page.restore(unescape(re.sub(r"<[^>]*>", " ", match["text"] or "")))
            line = page.restore(page.text[: match.start()]).count("\n") + 1
            return Link(url, " ".join(words.split()), line)
    return None


def fault(url: str) -> str | None:
    """Why a link leads nowhere for its reader; None when nothing is wrong as far as one can see from here."""
    if not url:
        return "the link has no address"
    if "{{" in url or "{%" in url:
        return None
    if url.startswith("#"):
        return "the link leads nowhere (#)" if url == "#" else None
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return "the address cannot be read"
    return _fault_of_parts(parts.scheme.lower(), host, parts.path)


def _fault_of_parts(scheme: str, host: str, path: str) -> str | None:
    if scheme in ("mailto", "tel", "sms"):
        return None if path else "the link has no address"
    if scheme not in ("http", "https"):
        return (
            "the address must begin with https://" if not scheme else f"{scheme}: links do not work in mail"
        )
    if not host or any(blank in host for blank in " <>"):
        return "the address has no host"
    if host == "localhost" or host.endswith(".localhost") or re.match(r"127\.|\[?::1", host):
        return "the link leads to this machine (localhost)"
    if any(host == name or host.endswith(f".{name}") for name in _PLACEHOLDER_HOSTS):
        return f"the link leads to a placeholder ({host})"
    return None
