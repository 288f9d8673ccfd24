# ruff: noqa: E501  # sources and what becomes of them stand side by side
"""Links: what is tracked, what is left, what is made safe; nothing else of the source changes."""

import pytest

from mailengine.domain.content.links import PIXEL, Link, fault, links_in, rewrite
from mailengine.domain.content.merge import compile_template


def html(source: str, *, click: bool = True) -> str:
    return rewrite(source, "", click=click, opens=False).html


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('<a href="https://a.example/">x</a>', '<a href="{{ click_url }}/0">x</a>'),
        ("<A CLASS=x HREF = 'HTTP://a.example'>x</A>", "<A CLASS=x HREF = '{{ click_url }}/0'>x</A>"),
        ('<area href="https://a.example/">', '<area href="{{ click_url }}/0">'),
        ('<!--[if mso]><v:roundrect href="https://a.example/"><![endif]-->', '<!--[if mso]><v:roundrect href="{{ click_url }}/0"><![endif]-->'),
        ('<a data-track="off" href="https://a.example/">x</a>', '<a href="https://a.example/">x</a>'),
        ('<a href="{{ website }}">x</a>', '<a href="{{ website|safe_url }}">x</a>'),
        ('<a href="{{ website|safe_url }}">x</a>', '<a href="{{ website|safe_url }}">x</a>'),
        ('<a href="{{ a or b }}/p">x</a>', '<a href="{{ (a or b)|safe_url }}/p">x</a>'),
        ('<a href="https://a.example/{{ id }}?e={{ e|urlencode }}">x</a>', '<a href="https://a.example/{{ id|urlencode }}?e={{ e|urlencode }}">x</a>'),
        ('<a href="{% if a %}{{ b }}{% else %}https://c.example/{{ d }}{% endif %}{{ e }}">x</a>',
         '<a href="{% if a %}{{ b|safe_url }}{% else %}https://c.example/{{ d|urlencode }}{% endif %}{{ e|safe_url }}">x</a>'),
        ('<a href="https://a.example/{% if a %}{{ b }}{% endif %}">x</a>', '<a href="https://a.example/{% if a %}{{ b|urlencode }}{% endif %}">x</a>'),
        ('<img src="{{ pic }}"><td background="{{ pic }}">', '<img src="{{ pic|safe_image }}"><td background="{{ pic|safe_image }}">'),
        ('<p style="color:{{ c }};background:url(\'{{ d }}\')">', '<p style="color:{{ c|safe_css }};background:url(\'{{ d|safe_image }}\')">'),
        ("<style>a{color:{{ c }}}</style>", "<style>a{color:{{ c|safe_css }}}</style>"),
        ('<p title="{{ t }}">{{ u }}</p>', '<p title="{{ t }}">{{ u }}</p>'),
    ],
)  # fmt: skip
def test_one_link(source: str, expected: str) -> None:
    assert html(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '<a href="{{ unsubscribe_url }}">x</a>',
        '<a href="{{ view_online_url }}">x</a>',
        '<a href="mailto:a@b.example">x</a>',
        '<a href="tel:+49">x</a>',
        '<a href="#top">x</a>',
        '<a href="">x</a>',
        '<a name="x">x</a>',
        '<img src="https://a.example/x.png" alt="a > b">',
        '<link href="https://a.example">',
        "a < b href=\"https://a.example\"",
    ],
)  # fmt: skip
def test_what_is_left_alone(source: str) -> None:
    assert html(source) == source


def test_the_same_url_has_the_same_index_in_both_parts() -> None:
    page = '<a href="https://a.example/?x=1&amp;y=2">1</a><a href="https://b.example">2</a><a href="https://a.example/?x=1&amp;y=2">3</a>'
    text = "1 (https://a.example/?x=1&y=2), see https://b.example. Or https://c.example/a_(b)! {{ unsubscribe_url }}"
    rewritten = rewrite(page, text, click=True, opens=True)
    assert rewritten.links == ["https://a.example/?x=1&y=2", "https://b.example", "https://c.example/a_(b)"]
    assert rewritten.html.count("{{ click_url }}/0") == 2
    assert rewritten.text == (
        "1 ({{ click_url }}/0), see {{ click_url }}/1. Or {{ click_url }}/2! {{ unsubscribe_url }}"
    )


def test_untracked_messages_keep_their_links_and_are_still_made_safe() -> None:
    page = '<a href="https://a.example">x</a><a href="{{ w }}">y</a>'
    assert html(page, click=False) == '<a href="https://a.example">x</a><a href="{{ w|safe_url }}">y</a>'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<body>x</body></html>", f"<body>x{PIXEL}</body></html>"),
        ("x", f"x{PIXEL}"),
        ("<BODY>x</body ><p></BODY>", f"<BODY>x</body ><p>{PIXEL}</BODY>"),
    ],
)
def test_the_pixel_is_the_last_thing_of_the_body(source: str, expected: str) -> None:
    assert rewrite(source, "", click=False, opens=True).html == expected


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "JAVA\tSCRIPT:alert(1)",
        "data:text/html,x",
        "x",
        "//a.example",
        "\x01javascript:x",
    ],
)
def test_a_value_that_is_no_web_address_leads_nowhere(value: str) -> None:
    source = rewrite('<a href="{{ w }}">x</a>', "{{ w }}", click=True, opens=False).html
    assert compile_template(source, target="html").render({"w": value}) == '<a href="#">x</a>'


def test_a_value_inside_an_address_stays_inside() -> None:
    source = rewrite('<a href="https://a.example/?q={{ q }}">x</a>', "", click=True, opens=False).html
    rendered = compile_template(source, target="html").render({"q": "a&b=c d#\"'<"})
    assert rendered == '<a href="https://a.example/?q=a%26b%3Dc%20d%23%22%27%3C">x</a>'


def test_links_for_the_checklist() -> None:
    page = 'x\n<a href="https://a.example/?b&amp;c">A <b>B</b>\n&amp; C</a>\n<!-- <a href="x">no</a> -->\n<a href="{{ u\n}}">D</a> <a>E</a><a href="">'
    assert links_in(page) == [
        Link("https://a.example/?b&c", "A B & C", 2),
        Link("{{ u\n}}", "D", 5),
        Link("", "", 6),
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no address"), ("#", "nowhere"), ("http://localhost:8000/x", "localhost"), ("http://127.0.0.1/", "localhost"),
        ("https://www.example.com/x", "placeholder"), ("http://[x", "cannot be read"), ("http:///x", "no host"),
        ("ftp://a.org", "do not work"), ("www.acme.org", "https://"), ("mailto:", "no address"),
    ],
)  # fmt: skip
def test_a_broken_link_is_named(url: str, words: str) -> None:
    assert words in (fault(url) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.org/",
        "mailto:a@acme.org",
        "tel:+49",
        "#top",
        "{{ unsubscribe_url }}",
        "https://bücher.de/ä?x=1",
    ],
)
def test_a_working_link_has_no_fault(url: str) -> None:
    assert fault(url) is None
