# ruff: noqa: E501  # sources and what becomes of them stand side by side
"""What sanitising keeps: everything that mail needs, in place, and a second pass changes nothing."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.sanitise import MAX_CHARS, Removal, sanitise

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.html"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_nothing_is_taken_out_of_a_legitimate_page(path: Path) -> None:
    cleaned = sanitise(path.read_text("utf-8"))
    assert cleaned.removed == []
    assert sanitise(cleaned.html) == cleaned


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_legitimate_page_keeps_its_structure(path: Path) -> None:
    source = path.read_text("utf-8")
    cleaned = sanitise(source).html
    for pattern in (
        r"<(?:p|a|td|th|img|div|h1|li|font|center|caption|blockquote|area|dt|dd)\b",
        r"\{\{.*?\}\}",
        r"\{%.*?%\}",
        r"<!--\[if [^\]]*\]>",
        r"<v:\w+|<w:\w+|<o:\w+",
        r"@media[^{]*",
        r"style=\"",
        r"(?:bgcolor|background|align|valign|cellpadding|role|data-\w+|aria-\w+|dir|lang)=",
    ):
        assert _normal(re.findall(pattern, cleaned)) == _normal(re.findall(pattern, _with_comments(source)))


def _with_comments(source: str) -> str:
    """Bare `<![if]>` is written as the comment that means the same."""
    return source.replace("<![if !mso]>", "<!--[if !mso]><!-->")


def _normal(found: list[str]) -> list[str]:
    return [" ".join(each.split()).replace('"', "'") for each in found]


@pytest.mark.parametrize(
    "source",
    [
        '<!DOCTYPE html>\n<html lang="en">\n<head><title>A &amp; {{ b }}</title></head>\n<body><p>x</p></body>\n</html>\n',
        '<table><tbody>{% for r in rows %}<tr><td>{{ r }}</td></tr>{% endfor %}</tbody></table>',
        '<a href="https://x.example/?a=1&amp;b={{ c }}" title="a &quot;b&quot;">x</a>',
        '<a href="{{ website }}">x</a>',
        '<a href="{% if a %}https://a.example{% else %}{{ b }}{% endif %}">x</a>',
        '<p style="color:red;{% if x %}margin:0{% endif %}">{Hi|{Hello|Hey}}</p>',
        "<p>a &lt; b &nbsp;&#8212;&copy; {# a comment #}</p>",
        '<!--[if !mso]><!--><p>x</p><!--<![endif]-->',
        '<!--[if mso]><v:rect fill="true"><w:anchorlock/></v:rect><![endif]-->',
        "<!-- a note -->",
        '<img src="data:image/png;base64,AAAA" alt="">',
        "{{ a }} {{ b }}\n{% if a < b %}x{% endif %}",
    ],
)  # fmt: skip
def test_clean_markup_is_left_alone(source: str) -> None:
    assert sanitise(source).html == source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>one<p>two", "<p>one</p><p>two</p>"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "<table><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<table>{% for r in x %}<tr><td></td></tr>{% endfor %}</table>", "<table><tbody>{% for r in x %}<tr><td></td></tr>{% endfor %}</tbody></table>"),
        ("<table><div>x</div></table>", "<table><tbody><tr><td><div>x</div></td></tr></tbody></table>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ('<a href="{{ x|default("y") }}">z</a>', "<a href=\"{{ x|default('y') }}\">z</a>"),
        ('<a title="{{ x|default(&quot;y&quot;) }}">z</a>', "<a title=\"{{ x|default('y') }}\">z</a>"),
        ("{% if a &gt; b %}x{% endif %}", "{% if a > b %}x{% endif %}"),
        ("<div><b>x</div>", "<div><b>x</b></div>"),
        ("<P ALIGN=center>X</P>", '<p align="center">X</p>'),
        ("<td>x</td>", "x"),
        ("<a href='x", "&lt;a href='x"),
        ("<style>@import url(https://x.example/a.css);a{color:red}</style>", '<style type="text/css">\na {color:red}\n</style>'),
        ('<p style="color:red;behavior:url(x.htc);-moz-binding:url(y);width:expression(alert(1))">x</p>', '<p style="color:red">x</p>'),
        ("<style>@font-face{font-family:x;src:url(https://x.example/f.woff)}</style>", ""),
        ("<![if !mso]><p>x</p><![endif]>", "<!--[if !mso]><!--><p>x</p><!--<![endif]-->"),
        ('<!--[if mso]><xml><o:AllowPNG/></xml><![endif]-->', '<!--[if mso]><xml><o:AllowPNG/></xml><![endif]-->'),
        ("x\x00y\x08z", "xyz"),
        ("<p>{{ never closed</p>", "<p>{&#123; never closed</p>"),
        ('<p style="background:url({{ pic }})">x</p>', '<p style="background:url({{ pic }})">x</p>'),
        ("<style>@media x{#id{color:red}}</style>", '<style type="text/css">\n@media x {\n#id {color:red}\n}\n</style>'),
    ],
)  # fmt: skip
def test_broken_markup_is_closed_where_it_stands(source: str, expected: str) -> None:
    cleaned = sanitise(source).html
    assert cleaned == expected
    assert sanitise(cleaned).html == expected


def test_a_removal_names_what_and_where() -> None:
    removed = sanitise("<p>one</p>\n<p onclick='x()'>{{ a\n}}</p>\n<script>x</script>").removed
    assert removed == [Removal("onclick attribute of <p>", 2), Removal("<script> with what it held", 4)]


def test_the_charset_of_the_page_is_that_of_the_message() -> None:
    page = "<html><head><meta charset=latin1><meta http-equiv=refresh content='0;url=x'></head><body>x</body></html>"
    cleaned = sanitise(page)
    assert '<meta charset="utf-8">' in cleaned.html
    assert "refresh" not in cleaned.html


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x" * (MAX_CHARS + 1), "at most"),
        ("x" * 5_000_000, "at most"),
        ("<div>" * 100_000, "deep"),
        ("<b>" * 100_000 + "x", "deep"),
        ("<p>x" * 100_000, "elements"),
        ("{{ x }}" * 100_000, "merge tags"),
        ("<" * 500_000, "references"),
    ],
)
def test_bombs_are_refused_in_one_line(source: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        sanitise(source)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "piece",
    ["<", "<a ", "<a href='", '<a href="', "<!--", "<!--[if mso]>", "<style>", "<script>", "{{", "{%", "{#", "&", "&#",
     "<![CDATA[", "</", "<svg>", "{{ '", "<a b=' <a c=\" ", "<!-- -", "{{ }", "-->", "</p>", "{|", "<p style='((((("],
)  # fmt: skip
def test_unclosed_everything_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    sanitise(piece * (30_000 // len(piece)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("style", ["(" * 5_000, "a:" + "[" * 5_000, "{" * 5_000, "a:" + "calc(" * 3_000])
def test_nested_styles_do_not_recurse(style: str) -> None:
    assert sanitise(f'<p style="{style}">x</p><style>{style}</style>').html.startswith("<p>x</p>")


# Pieces of markup, one a line, that hypothesis puts together; \n and \0 stand for the characters.
PIECES = [
    line.replace("\\n", "\n").replace("\\0", "\0")
    for line in (Path(__file__).parent / "corpus" / "pieces.txt").read_text("utf-8").split("\n")
]


@settings(max_examples=300)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=25).map("".join))
def test_a_second_pass_changes_nothing(source: str) -> None:
    cleaned = sanitise(source).html
    assert sanitise(cleaned).html == cleaned
