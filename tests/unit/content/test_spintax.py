# sources and what becomes of them stand side by side
"""Spintax: choices per recipient, text elsewhere, and no group across an attribute's border."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.merge import compile_template
from mailengine.domain.content.spintax import MAX_DEPTH, MAX_GROUPS, spinner, to_jinja, variants


def every(source: str, **values: object) -> set[str]:
    """All texts that a source can give."""
    compiled = compile_template(to_jinja(source), target="text")
    rolls = itertools.product(range(4), repeat=4)
    return {compiled.render({**values, "spin": lambda k, n, r=roll: r[k % 4] % n}) for roll in rolls}


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("{Hi|Hello}", {"Hi", "Hello"}),
        ("{Hi|Hello|Hey {{ name }}}!", {"Hi!", "Hello!", "Hey Ann!"}),
        ("{|Hello}", {"", "Hello"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{{a|b} c|d}", {"a c", "b c", "d"}),
        ("{{{ name }}|b}", {"Ann", "b"}),
        ("{a} | {b", {"{a} | {b"}),
        ("{a|b", {"{a|b"}),
        ("a|b}", {"a|b}"}),
        (r"\{a\|b\}", {"{a|b}"}),
        (r"\{{{ name }}\}", {"{Ann}"}),
        (r"\{\{ name }}", {"{{ name }}"}),
        (r"{a\|b|c\}}", {"a|b", "c}"}),
        ("{ {a|b} }", {"{ a }", "{ b }"}),
        ("<p title=\"{a|b}\">x</p>", {'<p title="a">x</p>', '<p title="b">x</p>'}),
        ("<style>a{b|c}</style>", {"<style>a{b|c}</style>"}),
        ('<p style="{a|b}">x', {'<p style="{a|b}">x'}),
        ("<!-- {a|b} -->", {"<!-- {a|b} -->"}),
        ("{<b>x</b>|<i>y</i>}", {"<b>x</b>", "<i>y</i>"}),
        ("{{ name|upper }}", {"ANN"}),
        ("{% if name %}{a|b}{% endif %}", {"a", "b"}),
        ("{#1|#2}", {"#1", "#2"}),
        ('<a title="{x">y|" onclick=alert(1) z="}">', {'<a title="{x">y|" onclick=alert(1) z="}">'}),
    ],
)  # fmt: skip
def test_every_text_of_a_source(source: str, texts: set[str]) -> None:
    assert every(source, name="Ann") == texts


def test_lines_stay_where_they_are() -> None:
    assert to_jinja("a\n{b\n|c}\nd").count("\n") == 3


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x", 1),
        ("{a|b}", 2),
        ("{a|b}{c|d|e}", 6),
        ("{a|{b|c}d}", 3),
        ("{a|b}" * 50, 1_000_000_000),
        ("{a}", 1),
    ],
)
def test_variants_are_counted_up_to_a_limit(source: str, count: int) -> None:
    assert variants(source) == count


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("\n\n" + "{a|" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1), "line 3: .*deep"),
        ("{a|b}\n" * (MAX_GROUPS + 1), f"line {MAX_GROUPS + 1}: more than"),
        ("{" + "a|" * 200 + "}", "line 1: .*options"),
    ],
)
def test_bombs_are_refused_with_their_line(source: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        to_jinja(source)


def test_unbalanced_braces_by_the_thousand_are_text() -> None:
    assert to_jinja("{ " * 50_000) == "{ " * 50_000


def test_a_recipient_always_gets_the_same_words_and_the_crowd_all_of_them() -> None:
    assert [spinner("7")(k, 3) for k in range(20)] == [spinner("7")(k, 3) for k in range(20)]
    counts = Counter(spinner(str(task))(2, 4) for task in range(4_000))
    assert all(800 < count < 1_200 for count in counts.values())
    assert set(counts) == {0, 1, 2, 3}


@given(st.text(alphabet="{}|\\ab <>\"'%#\n", max_size=40))
def test_what_is_no_group_is_kept(source: str) -> None:
    if "|" not in source and "\\" not in source and "{{" not in source:
        assert to_jinja(source) == source


@given(st.lists(st.text(alphabet="abc é\n", max_size=8), min_size=2, max_size=6))
def test_each_option_is_reached_exactly(options: list[str]) -> None:
    compiled = compile_template(to_jinja("{" + "|".join(options) + "}"), target="text")
    rendered = [compiled.render({"spin": lambda _k, _n, i=i: i}) for i in range(len(options))]
    assert rendered == options


@pytest.mark.parametrize("tag", ["{{ x|default('}') }}", "{{ x|default('{') }}", '{{ x|default("a|b}") }}'])
def test_a_brace_in_a_string_of_a_tag_is_no_spintax(tag: str) -> None:
    assert to_jinja(tag) == tag
    assert to_jinja(f"{{{tag}|b}}") == f"{{% if spin(0, 2) == 0 %}}{tag}{{% else %}}b{{% endif %}}"
