"""The text part: what a reader sees, templates intact, in linear time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from mailengine.mail.html_text import html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("   \n ", ""),
        ("<p></p><div> &nbsp;</div>", ""),
        ("<", "<"),
        ("<p", ""),
        ("<!-- x", ""),
        ("1 < 2 & 3 > 2", "1 < 2 & 3 > 2"),
        ("a &lt;b&gt; &amp; &euro;&#x1F600;", "a <b> & €😀"),
        ("<h1>Title</h1><p>One\n two</p><p>Three</p>", "Title\n\nOne two\n\nThree"),
        ("<p>a<br>b<br><br><br><br>c</p>", "a\nb\n\nc"),
        ("<b>bold</b>, <i>it</i>alic<p>x", "bold, italic\n\nx"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<hr>b", "a\n\n----------\n\nb"),
        ('<a href="https://x.org/a?b=1&amp;c=2">Go</a>.', "Go (https://x.org/a?b=1&c=2)."),
        ('<a href="https://x.org/">x.org</a>', "x.org"),
        ('<a href="https://x.org">https://x.org</a>', "https://x.org"),
        ('<a href="mailto:a@x.org">a@x.org</a>', "a@x.org"),
        ('<a href="mailto:a@x.org?subject=Hi">Write</a>', "Write (a@x.org?subject=Hi)"),
        ('<a href="tel:+49301">Call</a>', "Call (+49301)"),
        ('<a href="#top">Top</a> <a href="javascript:x()">J</a> <a>N</a> <a href="">E</a>', "Top J N E"),
        ('<a href="https://x.org"><div>Button</div></a><p>x</p>', "Button (https://x.org)\n\nx"),
        ('<a href="https://x.org">a <b>b</b> </a>c', "a b (https://x.org) c"),
        ('<a href="https://x.org"><img src="y" alt="Logo"></a>', "Logo (https://x.org)"),
        ('<a href="https://x.org"><img src="y"></a>', "https://x.org"),
        ('<a href="https://a.org">a<a href="https://b.org">b</a>', "a (https://a.org)b (https://b.org)"),
        ('<img src="x" alt="A cat"> sits<img src="pixel" width="1">', "A cat sits"),
        ("<ul><li>a</li><li>b<ul><li>c</ul></li></ul>d", "- a\n- b\n  - c\n\nd"),
        ("<ol start='9'><li>a<li>b<p>c</p></ol>", "9. a\n10. b\n\n    c"),
        ("<li>stray</li>text", "- stray\ntext"),
        ("<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc"),
        ("<pre>  a\n    b\n\n\n\nc</pre>", "  a\n    b\n\nc".strip()),
        (
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>3</td></tr></table>",
            "Item | Price\nTea | 3",
        ),
        ("<table><tr><td><a href='h'>A</a><td>&nbsp;<td><td>B</table>", "A (h) | B"),
        ("<table><tr><td><p>Left</p></td><td><p>Right</p></td></tr></table>", "Left\n\nRight"),
        ("<table><tr><td><table><tr><td>a<td>b</table></td></tr></table>", "a | b"),
        ('<div style="display: none; max-height:0">Pre<div>header</div></div>Body', "Body"),
        ('<span style="mso-hide:all">x</span><span hidden>y</span><b style="visibility:hidden">z</b>w', "w"),
        ('<p style="display:none">a<p>b', "b"),
        ('<table><tr><td style="display:none">a<td>b</table>', "b"),
        ('<div style="display:none">a<p>b</div>c', "c"),
        ('<img style="display:none" alt="x">a', "a"),
        ('<div style="display:block">a</div>', "a"),
        ("<style>p{}</style><script>if (a<b) x()</script><title>T</title><p>x</p>", "x"),
        ("<!--[if mso]><p>Outlook {{ x }} only</p><![endif]-->all", "all"),
        ("<!--[if !mso]><!--><p>shown</p><!--<![endif]-->", "shown"),
        ("<!-->a<!--->b", "ab"),
        ("a\u200b&zwnj;&nbsp;&zwnj;&nbsp;&#847;b\u00adc", "a bc"),
        ("می‌خواهم", "می‌خواهم"),
        ("<p>x   </p>   <p>  y</p>", "x\n\ny"),
        ("<P CLASS=x>A</P><P>B", "A\n\nB"),
        ("<o:p>&nbsp;</o:p>x", "x"),
        ('<p title="a > b">x</p>', "x"),
    ],
)
def test_conversion(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    "kept",
    [
        "{{ name }}", "{{name|default('a > b')}}", '{{ "<b>" ~ x }}', "{{ a\n  b }}", "{Hi|Hello {there|you}}",
        "{% if a < b %}x{% endif %}", '{% if a == "}}" %}x{% endif %}', "{# note #}", "{{ '&lt;' }}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "frame", ["{}", "a {} b", "<p>x {} y</p>", "<table><tr><td>{}</td></tr></table>", "<b>1 < 2 {}</b>"]
)
def test_templates_and_spintax_come_through(kept: str, frame: str) -> None:
    assert kept in html_to_text(frame.replace("{}", kept))


def test_templates_in_urls_and_attributes() -> None:
    url = "https://{x|y}.org/{{ path|urlencode }}?q={% if a > 1 %}1{% endif %}"
    html = f"""<a class="{{{{ 'a>b' }}}}" href="{url}">Go</a>"""
    assert html_to_text(html) == f"Go ({url})"
    assert html_to_text('<img alt="Hello {{ name }}" src=x>') == "Hello {{ name }}"
    assert html_to_text("<a href={{ url }}>Go</a>") == "Go ({{ url }})"


LOOP = """
<p>Dear {{ name }},</p>
{% if rows %}
<p>You bought:</p>
<table>{% for row in rows %}<tr><td>{{ row }}</td><td>1</td></tr>{% endfor %}</table>
<ul>
  {% for row in rows %}
  <li>{{ row }}</li>
  {% endfor %}
</ul>
{% else %}
<p>Nothing.</p>
{% endif %}
<p>Bye</p>
"""


def test_rendered_loops_and_conditions_leave_no_empty_lines() -> None:
    template = Environment(autoescape=False).from_string(html_to_text(LOOP))
    assert template.render(name="Ann", rows=["tea", "jam"]) == (
        "Dear Ann,\n\nYou bought:\n\ntea | 1\njam | 1\n\n- tea\n- jam\n\nBye"
    )
    assert template.render(name="Ann", rows=[]) == "Dear Ann,\n\nNothing.\n\nBye"


@pytest.mark.parametrize(
    "html",
    [
        '<title>{% set x = "T" %}</title>{{ x }}',
        '<!-- {% set x = "T" %} -->{{ x }}',
        "<!-- {% if true %} -->T<!-- {% endif %} -->",
        "<div hidden>{% if true %}</div>T{% endif %}",
        "<style>{% if true %}p{}{% endif %}</style>T",
        '<div {% if false %}style="display:none"{% endif %}>T</div>',
        '<div style="{% if false %}display:none{% endif %}">T</div>',
    ],
)
def test_statements_in_what_is_left_out_still_count(html: str) -> None:
    assert Environment(autoescape=False).from_string(html_to_text(html)).render() == "T"


PIECES = [
    "<p>", "</p>", "<div>", "</div>", "<br>", "<ul>", "</ul>", "<ol>", "<li>", "</li>", "<table>", "</table>",
    "<tr>", "</tr>", "<td>", "</td>", "<a href='u'>", "</a>", "<pre>", "</pre>", "<blockquote>",
    "</blockquote>", "<b>", "</b>", "<div hidden>", "<td style='display:none'>", "<style>", "</style>",
    "<!--", "-->", "<", ">", '"', "'", "=", "&amp;", "&nbsp;", "a", "b ", " ", "\n", "{{ x }}", "{% if x %}",
    "{% endif %}", "{{", "}}", "{%", "%}", "{a|b}", "<hr>", "<img alt='i'>", "\u200c", "\ufdd0s0\ufdd1",
]  # fmt: skip


@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.text(max_size=80)))
def test_layout_holds_for_any_input(html: str) -> None:
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "J", html_to_text(html), flags=re.S)
    assert text == text.strip()
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t\u00a0]$", text, re.M)
    assert "\ufdd0" not in text


HOSTILE = {
    "div": "<div>" * 50_000,
    "formatting": "<p><b><i><font>" * 15_000,
    "tables": "<table><tr><td>" * 15_000,
    "lists": "<ul><li>a" * 25_000,
    "closing": "<ul>" * 25_000 + "</blockquote>" * 12_000,
    "hidden": "<div hidden>" * 20_000 + "</p>" * 5_000,
    "comments": "<!--{%" * 40_000 + "-->",
    "expressions": "{{" * 125_000,
    "statements": "{% if %}\n\n" * 25_000,
    "tags": "<a " * 82_000,
    "quotes": "<a x=\"" * 40_000,
    "spaces": "<a" + " " * 250_000,
    "angles": "<" * 250_000,
    "ampersands": "&" * 250_000,
    "fill": "\u200c " * 125_000,
}  # fmt: skip


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_is_linear_work(html: str) -> None:
    """A quarter of a megabyte each: about 0.3 s at worst; tree builders take half a minute for "div"."""
    started = time.process_time()
    html_to_text(html)
    assert time.process_time() - started < 3
