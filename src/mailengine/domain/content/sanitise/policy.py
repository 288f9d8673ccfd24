"""The allow-lists: which elements and attributes a message may hold, after what mail clients render.

Invariant: what is not named here is removed. Sources: the HTML standard for structure, caniemail.com's
feature lists and Microsoft's Outlook conditional comments for what mail needs beyond it.
"""

import re

VOID = frozenset({"area", "br", "col", "hr", "img", "source", "wbr"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
TABLE_PARTS = frozenset({"caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "td", "th"})

# HTML 13.2.6.4.7: a start tag of these ends an open paragraph.
BLOCK = HEADINGS | frozenset(
    {
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "center",
            "dd",
            "div",
            "dl",
            "dt",
            "figcaption",
            "figure",
        ),
        *("footer", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "ul"),
    }
)
INLINE = frozenset(
    {
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "br",
            "cite",
            "code",
            "del",
            "dfn",
            "em",
            "font",
            "i",
        ),
        *("img", "ins", "kbd", "map", "area", "mark", "picture", "q", "s", "samp", "small", "source", "span"),
        *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    }
)
ELEMENTS = BLOCK | INLINE | TABLE_PARTS

# Removed with all they hold; of any other unknown element only the tags go.
DROPPED_WITH_CONTENT = frozenset(
    {
        *(
            "applet",
            "audio",
            "canvas",
            "embed",
            "frameset",
            "iframe",
            "math",
            "noembed",
            "noframes",
            "object",
        ),
        *("plaintext", "script", "select", "svg", "template", "textarea", "title", "video", "xmp"),
    }
)
# HTML 13.2.5: what these hold is read as text up to the end tag.
RAW_TEXT = frozenset(
    {
        "iframe",
        "noembed",
        "noframes",
        "plaintext",
        "script",
        "style",
        "textarea",
        "title",
        "xmp",
        "svg",
        "math",
    }
    | {"object", "applet", "template", "select"}
)

URL_ATTRIBUTES = frozenset({"href", "src", "background"})
_GLOBAL = frozenset(
    {
        *(
            "align",
            "background",
            "bgcolor",
            "border",
            "class",
            "dir",
            "height",
            "hidden",
            "id",
            "lang",
            "role",
        ),
        *("style", "title", "valign", "width", "xml:lang", "itemprop", "itemscope", "itemtype"),
    }
)
_OWN: dict[str, frozenset[str]] = {
    "a": frozenset({"href", "name", "rel", "target"}),
    "area": frozenset({"href", "shape", "coords", "alt", "target", "rel"}),
    "map": frozenset({"name"}),
    "img": frozenset({"src", "srcset", "sizes", "alt", "hspace", "vspace", "usemap", "ismap", "loading"}),
    "source": frozenset({"src", "srcset", "sizes", "media", "type"}),
    "table": frozenset(
        {"cellpadding", "cellspacing", "summary", "rules", "frame", "bordercolor", "datapagesize"}
    ),
    "td": frozenset(
        {"abbr", "axis", "colspan", "rowspan", "headers", "nowrap", "scope", "char", "bordercolor"}
    ),
    "th": frozenset(
        {"abbr", "axis", "colspan", "rowspan", "headers", "nowrap", "scope", "char", "bordercolor"}
    ),
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    "font": frozenset({"color", "face", "size"}),
    "hr": frozenset({"color", "noshade", "size"}),
    "br": frozenset({"clear"}),
    "ol": frozenset({"start", "type", "reversed", "compact"}),
    "ul": frozenset({"type", "compact"}),
    "li": frozenset({"type", "value"}),
    "time": frozenset({"datetime"}),
    "del": frozenset({"datetime"}),
    "ins": frozenset({"datetime"}),
    "html": frozenset({"xmlns", "xmlns:v", "xmlns:o", "xmlns:w"}),
    "body": frozenset(
        {"alink", "leftmargin", "link", "marginheight", "marginwidth", "text", "topmargin", "vlink"}
    ),
}
_DATA = re.compile(r"(?:aria|data)-[a-z0-9]+(?:-[a-z0-9]+)*")
# Written without a value, as bleach writes them.
BARE = frozenset({("hr", "noshade"), ("img", "ismap")})
MAX_ATTRIBUTES = 60

META_NAMES = frozenset(
    {
        *("viewport", "color-scheme", "supported-color-schemes", "format-detection"),
        *("x-apple-disable-message-reformatting", "robots", "author", "description", "generator", "progid"),
        *("originator",),
    }
)
NAMESPACES = frozenset(
    {
        "http://www.w3.org/1999/xhtml",
        "urn:schemas-microsoft-com:vml",
        "urn:schemas-microsoft-com:office:office",
        "urn:schemas-microsoft-com:office:word",
        "http://www.w3.org/TR/REC-html40",
    }
)

# Outlook renders with Word: VML shapes, Office settings and Word anchors stand in comments only it reads.
OUTLOOK_ELEMENT = re.compile(r"[vow]:[a-z][a-z0-9]*|xml|noscript")
OUTLOOK_ATTRIBUTE = re.compile(r"(?!on)[a-z][a-z0-9]*(?:[:-][a-z][a-z0-9]*)*")
OUTLOOK_URLS = frozenset({"href", "src", "background", "o:href", "v:src", "origin"})
OUTLOOK_REFUSED = frozenset({"action", "formaction", "srcdoc", "xlink:href", "datasrc", "dynsrc", "lowsrc"})


def allows(element: str, attribute: str) -> bool:
    """Whether an element may carry an attribute; values are checked elsewhere."""
    return (
        attribute in _GLOBAL
        or attribute in _OWN.get(element, frozenset())
        or _DATA.fullmatch(attribute) is not None
    )
