"""Attacks on the sanitiser: script, in any disguise, is gone from the page and from what it renders to."""

import re
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.links import rewrite
from mailengine.domain.content.merge import compile_template
from mailengine.domain.content.sanitise import sanitise
from mailengine.domain.content.spintax import to_jinja

FORBIDDEN = re.compile(
    "script|iframe|object|embed|applet|form|input|button|textarea|select|option|link|base|svg|math|frame|frameset|"
    "noembed|noframes|noscript|template|xmp|plaintext|audio|video|canvas|isindex|marquee|bgsound|layer"
)
SCHEMES = re.compile(
    r"(?:https?|mailto|tel|sms|cid):|data:image/(?:png|gif|jpeg|webp);base64,|[^:]*(?:[/?#]|$)", re.I
)
STYLES = re.compile(r"expression\s*\(|javascript|behavior|-moz-binding|@import", re.I)
REFUSED_ATTRIBUTES = frozenset({"srcdoc", "formaction", "action", "xlink:href", "ping", "manifest"})
PAGE = (
    "<!DOCTYPE html><html><head>{0}<title>{0}</title><style>{0}</style></head>"
    "<body {0}>{0}<p title='{0}'>{0}</p>{0}</body></html>{0}"
)

# One a line; \n stands for a line break.
VECTORS = [
    line.replace("\\n", "\n")
    for line in (Path(__file__).parent / "corpus" / "attacks.txt").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("vector", VECTORS)
def test_no_script_is_left_in_the_saved_page(vector: str) -> None:
    cleaned = sanitise(vector).html
    assert_harmless(cleaned)
    assert sanitise(cleaned).html == cleaned


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("spin", [lambda _k, _n: 0, lambda _k, n: n - 1], ids=["first", "last"])
@pytest.mark.parametrize(
    "x", ["", "javascript:alert(1)", '"><script>alert(1)</script>'], ids=["empty", "url", "tag"]
)
def test_no_script_is_left_in_the_rendered_page(vector: str, spin: object, x: str) -> None:
    source = rewrite(to_jinja(sanitise(vector).html), "", click=True, opens=True).html
    try:
        compiled = compile_template(source, target="html")
    except InvalidInput:
        return  # what does not compile is never sent
    addresses = {"click_url": "https://t.example/c", "open_url": "https://t.example/o"}
    values = {"x": x, "scheme": "javascript", "spin": spin, **addresses}
    assert_harmless(compiled.render(values))


@pytest.mark.parametrize("vector", VECTORS)
def test_an_attack_inside_a_document_is_no_stronger(vector: str) -> None:
    cleaned = sanitise(PAGE.replace("{0}", vector)).html
    assert_harmless(cleaned)


def test_the_corpus_of_attacks_is_large() -> None:
    assert len(set(VECTORS)) >= 140


def assert_harmless(html: str) -> None:
    """A browser's parser finds nothing to run in the page, nor in what its Outlook comments hold."""
    for part in (html, *_outlook_parts(html)):
        root = LexborHTMLParser(part).root
        assert root is not None
        for node in root.traverse(include_text=False):
            _assert_harmless_node(node, html)


def _assert_harmless_node(node: LexborNode, html: str) -> None:
    name = (node.tag or "").lower()
    assert not FORBIDDEN.fullmatch(name), html
    if name == "style":
        assert not STYLES.search(re.sub(r"\{\{.*?\}\}", "", node.text())), html
    if name == "meta":
        assert (node.attributes.get("http-equiv") or "").lower() != "refresh", html
    for attribute, value in node.attributes.items():
        _assert_harmless_attribute(attribute.lower(), value or "", html)


def _assert_harmless_attribute(attribute: str, value: str, html: str) -> None:
    assert not attribute.startswith("on"), html
    assert attribute not in REFUSED_ATTRIBUTES, html
    if attribute in {"href", "src", "background", "poster", "lowsrc", "dynsrc"}:
        assert SCHEMES.match(re.sub(r"[\x00-\x20]", "", value)) or value.startswith("{{"), html
    if attribute == "style":
        assert not STYLES.search(re.sub(r"\{\{.*?\}\}", "", value)), html


def _outlook_parts(html: str) -> list[str]:
    """What stands in comments, as Outlook reads it: as markup."""
    return re.findall(r"<!--\[if [^\]]*\]>(.*?)<!\[endif\]-->", html, re.S)
