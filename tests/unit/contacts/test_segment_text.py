"""The text of segments: read, printed, read again; and what is said of one that is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailengine.core.errors import InvalidInput
from mailengine.domain.contacts.segments.check import check
from mailengine.domain.contacts.segments.names import Names
from mailengine.domain.contacts.segments.parse import SegmentError, parse
from mailengine.domain.contacts.segments.rules import (
    MAX_DEPTH,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    from_json,
    normal,
    to_json,
)
from mailengine.domain.contacts.segments.show import show

NAMES = Names(
    attributes={"country": "text", "age": "number", "born": "date", "vegan": "boolean", "likes": "list"},
    tags={"vip": 1, "gold": 2},
    lists={"Customers": 1},
    campaigns={"Spring offer": 1},
)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
fields = st.sampled_from(["email", "tag", "country", "attribute.tag", "age", "consent_at"])
compares = st.one_of(
    st.builds(
        Compare, fields, st.sampled_from(["=", "contains", "starts", "ends", "<", "<=", ">", ">="]), words
    ),
    st.builds(Compare, fields, st.just("in"), st.lists(words, min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, fields, st.just("empty")),
    st.builds(Compare, fields, st.just("within"), st.integers(1, 900).map(str)),
)
activities = st.builds(
    Activity,
    st.sampled_from(["received", "opened", "clicked", "bounced"]),
    st.none() | words,
    st.integers(1, 99),
    st.none() | st.integers(1, 900),
)
rules = st.recursive(
    compares | activities | st.just(Everyone()),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(rules)
def test_what_is_printed_is_read_as_the_same(rule):
    try:
        rule = normal(rule)
    except InvalidInput:  # nested too deeply
        return
    text = show(rule)
    assert parse(text).rule == rule, text
    assert from_json(to_json(rule)) == rule


@settings(max_examples=100)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*'()=,"<> ', "tag", "vip", "and", "or", "not", "in", "is"])).map(" ".join)
)
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        rule = parse(text).rule
    except SegmentError as error:
        words = str(error)
    else:
        words = show(rule)
        assert parse(words).rule == rule
    assert words.isprintable() or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("tag = vip and country in (DE, AT) and not opened within 90 days", None),
        ("TAG=vip AND country IN(DE,AT)", "tag = vip and country in (DE, AT)"),
        ("a = 1 or b = 2 and not c = 3", "a = 1 or (b = 2 and c != 3)"),
        ("clicked within 2 weeks campaign Spring at least 1 time", "clicked campaign Spring within 14 days"),
        ('country = "and" or first_name = "a \\"b\\" \\\\c"', None),
        ("attribute.tag = x and attribute.country = DE", "attribute.tag = x and country = DE"),
        (
            "created_at before 2026-01-01 and born after 1990-05-05",
            "created_at < 2026-01-01 and born > 1990-05-05",
        ),
        ("age is not empty and likes not contains x", None),
        ("not (a = 1 or b = 2) and everyone", None),
        ("opened within 1 day", None),
    ],
)
def test_texts(text, again):
    assert show(parse(text).rule) == (again or text)
    assert parse(again or text).rule == parse(text).rule


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "everyone"),
        ("tag", 4, "after tag comes"),
        ("tag = ", 7, "a value is expected"),
        ("tag = vip and", 14, "a condition is expected"),
        ("tag = vip country = DE", 11, "`and`, `or` or the end"),
        ('first_name = "Ann', 14, "never closed"),
        ("country in DE", 12, "`(` is expected"),
        ("country in (DE AT)", 16, "`,` or `)`"),
        ("(tag = vip", 11, "`)` is expected"),
        ("opened within ninety days", 15, "a whole number"),
        ("opened within 9 moons", 17, "`days`"),
        ("opened within 9 days within 8 days", 22, "twice"),
        ("tag = and", 7, "in quotes"),
        ("tag ! vip", 5, "means nothing"),
        ("(" * 500 + "tag = vip", MAX_DEPTH + 2, "nested"),
        ("not " * 500 + "tag = vip", 4 * (MAX_DEPTH + 1) + 1, "nested"),
    ],
)
def test_where_a_text_is_wrong(text, column, words):
    with pytest.raises(SegmentError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        parse(text)
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("contry = DE", "", "no field or attribute contry; did you mean country?"),
        ("tag = vip and tag = vpi", "rules[1]", "no tag vpi; did you mean vip?"),
        ("not list = customers", "negated", "no list customers; did you mean Customers?"),
        ("opened campaign Sprin", "", "did you mean Spring offer?"),
        ("age > old", "", "compared with a number"),
        ("born < 1.1.2000", "", "a date like 2026-12-31"),
        ("born = 2026-02-30", "", "a date like"),
        ("created_at after 9999-12-31", "", "of the years 1000 to 9998"),
        ("consent_at before 0999-12-31", "", "of the years 1000 to 9998"),
        ("age > 1e400", "", "compared with a number"),
        ("vegan = maybe", "", "true or false"),
        ("likes = x", "", "use in, contains, is empty"),
        ("state = subscribd", "", "did you mean subscribed?"),
        ("domain = nonsense_", "", ""),
        ("opened within 99999 days", "", "1 to 36,500 days"),
        ('country = "a\x00b"', "", "NUL"),
        ('country = ""', "", "is empty"),
    ],
)
def test_what_a_tenant_does_not_have(text, path, words):
    (problem,) = check(parse(text).rule, NAMES)
    assert (problem.path, words in problem.words) == (path, True), problem


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "tag = vip",
        {"rule": "all"},
        {"rule": "sql", "text": "1=1"},
        {"rule": "any", "rules": []},
        {"rule": "compare", "field": "tag", "op": "=", "value": {"a": 1}},
        {"rule": "compare", "field": "tag", "op": "=", "value": "vip", "extra": 1},
        {"rule": "activity", "did": "opened", "at_least": "many"},
        {"rule": "compare", "field": "age", "op": "=", "value": float("nan")},
    ],
)
def test_json_that_is_no_segment(given):
    with pytest.raises(InvalidInput):
        from_json(given)


def test_json_that_is_nested_without_end():
    rule: dict[str, object] = {"rule": "everyone"}
    for _ in range(5000):
        rule = {"rule": "not", "negated": rule}
    with pytest.raises(InvalidInput, match="nested"):
        from_json(rule)


def test_numbers_and_booleans_of_json_are_texts():
    rule = from_json({"rule": "compare", "field": "age", "op": "in", "value": [30, 30.0, 1.5, True]})
    assert rule == Compare("age", "in", ("30", "1.5", "true"))
    assert from_json({"rule": "all", "rules": []}) == Everyone()


@pytest.mark.parametrize(
    "rule",
    [
        Compare("age", "=", ("1", "2")),
        Compare("age", "in", "1"),
        Compare("age", "like", "1"),
        Compare("created_at", "within", "000000001999999"),
    ],
)
def test_operators_with_values_that_do_not_suit(rule):
    assert check(rule, NAMES)
