# ruff: noqa: E501  # sources and what becomes of them stand side by side
"""The merge language: what it prints, what it refuses, and how it names what is wrong."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.merge import (
    RenderError,
    check,
    compile_template,
    names_without_default,
    resolve_blocks,
    used_names,
)


def render(source: str, /, **values: object) -> str:
    return compile_template(source, target="html").render(values)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ name }}", "Ann &amp; Bob"),
        ("{{ empty|default('there') }}", "there"),
        ("{{ blank|default('there') }}", "there"),
        ("{{ nothing|default('there') }}", "there"),
        ("{{ missing|default('there') }}", "there"),
        ("{{ missing|default(name) }}", "Ann &amp; Bob"),
        ("{{ zero|default('x') }}", "0"),
        ("{{ nothing }}|{{ empty }}|{{ none }}", "||"),
        ("{{ name|upper }} {{ name|lower }}", "ANN &amp; BOB ann &amp; bob"),
        ("{{ 'o’neil mc-donald'|title }} {{ 'ANN'|capitalize }}", "O’neil Mc-Donald Ann"),
        ("{{ blank|trim }}|{{ name|truncate(4) }}|{{ name|truncate(6, true, '') }}", "|Ann…|Ann &amp;"),
        ("{{ name|replace('&', '+') }}", "Ann + Bob"),
        ("{{ day|date('%d.%m.%Y') }} {{ moment|date }} {{ '2026-01-02'|date('%Y') }} {{ 'soon'|date }}", "03.02.2026 03 February 2026 2026 soon"),
        ("{{ 1234.5|number(2) }} {{ '1e3'|number }} {{ 'many'|number }}", "1,234.50 1,000 many"),
        ("{{ tags|join(', ') }} {{ tags|first }} {{ tags|last }} {{ tags|length }}", "a, &lt;b&gt; a &lt;b&gt; 2"),
        ("{{ 'a b/ü?&'|urlencode }}", "a%20b/%C3%BC%3F%26"),
        ("{{ name|escape }} {{ '<'|e }} {{ '<' }}", "Ann &amp; Bob &lt; &lt;"),
        ("{% if name %}a{% elif zero %}b{% else %}c{% endif %}", "a"),
        ("{% if missing %}a{% else %}b{% endif %}", "b"),
        ("{% if missing == 'x' %}a{% else %}b{% endif %}", "b"),
        ("{% if country in ['DE', 'AT'] %}a{% endif %}{{ 'x' if zero == 0 and not empty else 'y' }}", "ax"),
        ("{% if missing is defined %}a{% endif %}{% if nothing is none %}b{% endif %}", "b"),
        ("{% for tag in tags %}{{ loop.index }}{{ tag }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2&lt;b&gt;"),
        ("{% for tag in missing %}x{% else %}none{% endfor %}", "none"),
        ("{{ item.name }} {{ item['name'] }} {{ tags[0] }} {{ tags[-1] }} {{ name[0] }}", "Tea Tea a &lt;b&gt; A"),
        ("{{ name ~ '!' }}", "Ann &amp; Bob!"),
        ("{{ spin(0, 3) }}", "2"),
        ("{{ site|safe_url }} {{ bad|safe_url }} {{ 'mailto:a@b.example'|safe_url }}", "https://a.example # mailto:a@b.example"),
        ("{{ bad|safe_image }}|{{ site|safe_image }}", "|https://a.example"),
        ("{{ 'red;x:expression(1)'|safe_css }}|{{ '#fff'|safe_css }}", "|#fff"),
        ("line\n", "line\n"),
        ("<p>&amp; <b></p>", "<p>&amp; <b></p>"),
    ],
)  # fmt: skip
def test_what_is_printed(source: str, expected: str) -> None:
    values: dict[str, object] = {
        "name": "Ann & Bob", "empty": "", "blank": "  ", "nothing": None, "zero": 0, "country": "DE",
        "day": date(2026, 2, 3), "moment": datetime(2026, 2, 3, tzinfo=UTC), "tags": ["a", "<b>"],
        "item": {"name": "Tea"}, "spin": lambda _k, n: n - 1, "site": "https://a.example", "bad": " java\tscript:alert(1)",
    }  # fmt: skip
    assert render(source, **values) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% macro m() %}{% endmacro %}", "macro"),
        ("{% set a = 1 %}", "set"),
        ("{% set a %}x{% endset %}", "set block"),
        ("{% call f() %}{% endcall %}", "call block"),
        ("{% filter upper %}x{% endfilter %}", "filter block"),
        ("{% include 'x' %}", "shared block"),
        ("{% import 'x' as y %}", "import"),
        ("{% from 'x' import y %}", "import"),
        ("{% extends 'x' %}", "extends"),
        ("{% block b %}{% endblock %}", "block"),
        ("{% with a = 1 %}{% endwith %}", "with"),
        ("{% raw %}{{ x }}{% endraw %}", "raw"),
        ("{{ x._y }}", "underscore"),
        ("{{ x.__class__.__mro__ }}", "underscore"),
        ("{{ x['__class__'] }}", "underscore"),
        ("{{ _x }}", "underscore"),
        ("{{ x[y] }}", "constant"),
        ("{{ x[1:2] }}", "constant"),
        ("{{ x() }}", "call"),
        ("{{ x.upper() }}", "call"),
        ("{{ range(9) }}", "call"),
        ("{{ spin(x, 2) }}", "call"),
        ("{{ spin(0, 2, 3) }}", "call"),
        ("{{ lipsum() }}", "call"),
        ("{{ 'a' * 999999999 }}", "multiplication"),
        ("{{ 9 ** 9 ** 9 }}", "power"),
        ("{{ x % y }}", "operator %"),
        ("{{ x + 1 }}", "addition"),
        ("{{ x / 1 }}", "division"),
        ("{{ {'a': 1} }}", "dictionary"),
        ("{{ [x] }}", "constants only"),
        ("{{ x|attr('y') }}", "unknown filter \"attr\""),
        ("{{ x|map('upper') }}", "unknown filter"),
        ("{{ x|safe }}", "unknown filter"),
        ("{{ x|format(1) }}", "unknown filter"),
        ("{{ x is callable }}", "unknown test"),
        ("{{ x|default(*y) }}", "arguments"),
        ("{% for a in [1, 2] %}{% endfor %}", "for item in attribute"),
        ("{% for a, b in x %}{% endfor %}", "for item in attribute"),
        ("{% for a in x if a %}{% endfor %}", "condition"),
        ("{% for a in x recursive %}{% endfor %}", "recursion"),
        ("{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}", "at most 2"),
        ("{{ -x }}", "sign"),
        ("{% if x %}" * 61 + "{% endif %}" * 61, "deep"),
    ],
)  # fmt: skip
def test_what_is_refused(source: str, words: str) -> None:
    problems = check(f"\n{source}", known=["x", "y"])
    assert any(p.kind == "forbidden" and words in p.message and p.line == 2 for p in problems), problems
    with pytest.raises(InvalidInput, match=r"line 2: "):
        compile_template(f"\n{source}", target="html")


@pytest.mark.parametrize(
    "source",
    ["{{ x", "{% if x %}", "{{ }}", "{% endif %}", "{{ x | }}", "{{ 'x }}", "{% unknown %}", "{# x", "{{ " + "(" * 5_000 + " }}",
     "{{ " + "9" * 5_000 + " }}", "{{ " + "not " * 5_000 + "x }}", "{{ x" + "|upper" * 5_000 + " }}"],
)  # fmt: skip
def test_what_does_not_parse_is_one_line(source: str) -> None:
    problems = check(source, known=["x"])
    assert problems
    assert all("\n" not in problem.message and problem.message.startswith("line ") for problem in problems)
    with pytest.raises(InvalidInput):
        compile_template(source, target="html")


def test_an_unknown_tag_is_named_with_its_line_and_the_nearest_known() -> None:
    (problem,) = check("a\n\n{{ frist_name }}", known=["first_name", "last_name"])
    assert problem.message == 'line 3: unknown merge tag "frist_name" (did you mean "first_name"?)'
    assert (problem.kind, problem.line, problem.name, problem.suggestion) == (
        "unknown_tag",
        3,
        "frist_name",
        "first_name",
    )
    (problem,) = check("{{ x|uper }}", known=["x"])
    assert problem.message == 'line 1: unknown filter "uper" (did you mean "upper"?)'
    assert (
        check("{% for i in tags %}{{ i }}{{ loop.index }}{% endfor %}{a|{{ b }}}", known=["tags", "b"]) == []
    )


def test_names() -> None:
    source = (
        "{{ a }}{{ b|default('x') }}{% if c %}{{ c }}{% else %}{{ d }}{% endif %}{% if not e %}{% else %}{{ e }}{% endif %}"
        "{{ f if f else 'x' }}{% for g in h %}{{ g }}{% endfor %}{{ i|upper }}{{ j|default(k) }}{A|{{ l }}}"
    )
    assert used_names(source) == frozenset("abcdefhijkl")
    assert names_without_default(source) == frozenset("adikl")


@pytest.mark.parametrize(
    "source", ["{{ zip }}", "{{ zip|upper }}", "{{ zip|truncate(3) }}", "{{ zip|join }}", "{{ zip.x }}"]
)
def test_a_missing_value_is_refused_by_name(source: str) -> None:
    with pytest.raises(RenderError, match='merge tag "zip" has no value') as refusal:
        render(source)
    assert isinstance(refusal.value, InvalidInput)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{% if x > 3 %}a{% endif %}", {"x": "text"}),
        ("{{ x|truncate('y') }}", {"x": "text"}),
        ("{{ x|replace('a', y)|replace('b', y)|replace('c', y) }}", {"x": "abc" * 1_000, "y": "abc" * 100}),
        ("{{ x|date('%999999d') }}", {"x": date(2026, 1, 1)}),
        ("{% for a in x %}{% for b in x %}" + "y" * 1_000 + "{% endfor %}{% endfor %}", {"x": [0] * 100}),
        ("{{ x|upper(1) }}", {"x": "a"}),
        ("{{ x|join(x)|join(x) }}", {"x": ["a" * 90_000, "b" * 90_000]}),
    ],
)
def test_a_value_that_does_not_fit_is_a_render_error(source: str, values: dict[str, object]) -> None:
    with pytest.raises(RenderError):
        compile_template(source, target="text").render(values)


def test_loops_are_bounded() -> None:
    assert (
        compile_template("{% for a in x %}.{% endfor %}", target="text").render({"x": list(range(1_000))})
        == "." * 100
    )


def test_objects_show_nothing_of_themselves() -> None:
    assert (
        render(
            "{{ x.real|default('-') }}{{ x.numerator|default('-') }}{{ y.upper|default('-') }}", x=1, y="a"
        )
        == "---"
    )


def test_a_header_has_no_line_breaks() -> None:
    compiled = compile_template("Hi {{ name }}", target="header")
    assert compiled.render({"name": "Ann\r\nBcc: x@y.example\x00\u2028!"}) == "Hi Ann Bcc: x@y.example !"
    assert compile_template("{{ n }}", target="header").render({"n": "Zoë <a>"}) == "Zoë <a>"


def test_static_and_values_are_encoded_apart() -> None:
    compiled = compile_template(
        "<p>{{ 'a<' }}{{ name }}{% if name %}y{% endif %}</p>{{ none }}",
        target="html",
        static=lambda text: f"[{text}]",
        value=lambda text: f"({text})",
    )
    assert compiled.render({"name": "<"}) == "[<p>](a&lt;)(&lt;)[y][</p>]"


def test_shared_blocks() -> None:
    blocks = {"footer": "F {% include 'legal' %}", "legal": "L", "loop": '{% include "loop" %}'}
    assert resolve_blocks('a {% include "footer" %} {%- include "legal" -%}', blocks) == "a F L L"
    with pytest.raises(InvalidInput, match=r'line 2: unknown shared block "foter" .did you mean "footer"'):
        resolve_blocks('\n{% include "foter" %}', blocks)
    with pytest.raises(InvalidInput, match="includes itself"):
        resolve_blocks("{% include 'loop' %}", blocks)
    deep = {str(i): f"{{% include '{i + 1}' %}}" for i in range(9)}
    with pytest.raises(InvalidInput, match="nested more than 5 deep"):
        resolve_blocks("{% include '0' %}", deep)
    bomb = {str(i): f"{{% include '{i + 1}' %}}" * 40 for i in range(4)} | {"4": "x" * 1_000}
    with pytest.raises(InvalidInput, match="longer than"):
        resolve_blocks("{% include '0' %}", bomb)


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_value_never_becomes_markup_or_template(first: str, second: str) -> None:
    rendered = render("<p>{{ a }}|{{ b|upper }}</p>", a=first, b=second)
    assert rendered.count("<") == 2
    assert rendered.startswith("<p>")
    for character in "<>\"'":
        assert character not in rendered[3:-4]
