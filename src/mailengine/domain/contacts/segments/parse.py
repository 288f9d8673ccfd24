"""From text to rules:

    tag = vip and country in (DE, AT) and not opened within 90 days
    (state = unconfirmed or consent_source is empty) and created_at before 2026-01-01
    clicked campaign "Spring offer" at least 3 times within 2 weeks

`not` binds closest, then `and`, then `or`.
"""

from dataclasses import dataclass, field

from mailengine.domain.contacts.segments.lexing import SegmentError, Token, tokens
from mailengine.domain.contacts.segments.rules import (
    ACTS,
    JOINS,
    KEYWORDS,
    MAX_DEPTH,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Rule,
    conditions,
    normal,
)

_DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30, "year": 365, "years": 365}
_SIGNS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "before": "<", "after": ">"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rules, and where in the text each condition stands (in the order of `rules.conditions`)."""

    rule: Rule
    text: str
    offsets: dict[str, int]

    def error(self, path: str, words: str) -> SegmentError:
        """What is wrong with the condition at that place."""
        return SegmentError(words, self.text, self.offsets.get(path, 0))


def parse(text: str) -> Parsed:
    """Raises SegmentError with the place."""
    parser = _Parser(text, tokens(text))
    found = parser.whole()
    rule = normal(found)
    paths = [path for path, _condition in conditions(rule)]
    return Parsed(rule, text, dict(zip(paths, parser.offsets, strict=True)))


@dataclass(slots=True)
class _Parser:
    text: str
    tokens: list[Token]
    position: int = 0
    depth: int = 0
    offsets: list[int] = field(default_factory=list)

    def whole(self) -> Rule:
        if self.next.kind == "end":
            raise self.fault("say who belongs to it; `everyone` is everyone")
        rule = self.either()
        if self.next.kind != "end":
            raise self.fault(f"`and`, `or` or the end is expected here, not {self.next.shown}")
        return rule

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += token.kind != "end"
        return token

    def taken(self, *words: str) -> bool:
        """Whether the next words are these; then they are passed."""
        ahead = self.tokens[self.position : self.position + len(words)]
        if [token.word or token.sign for token in ahead] != list(words):
            return False
        self.position += len(words)
        return True

    def fault(self, words: str, token: Token | None = None) -> SegmentError:
        return SegmentError(words, self.text, (token or self.next).offset)

    def either(self) -> Rule:
        rules = [self.both()]
        while self.taken("or"):
            rules.append(self.both())
        return rules[0] if len(rules) == 1 else AnyOf(tuple(rules))

    def both(self) -> Rule:
        rules = [self.negation()]
        while self.taken("and"):
            rules.append(self.negation())
        return rules[0] if len(rules) == 1 else All(tuple(rules))

    def negation(self) -> Rule:
        """Guards the stack: each level of the text is one call deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            raise self.fault(f"a segment can be nested {MAX_DEPTH} levels deep at most")
        try:
            if self.taken("not"):
                return Not(self.negation())
            return self.primary()
        finally:
            self.depth -= 1

    def primary(self) -> Rule:
        if self.taken("("):
            rule = self.either()
            if not self.taken(")"):
                raise self.fault(f"`)` is expected here, not {self.next.shown}")
            return rule
        if self.taken("everyone"):
            return Everyone()
        token = self.take()
        if token.kind != "word" or (token.word in KEYWORDS and token.word not in ACTS):
            raise self.fault(f"a condition is expected here, not {token.shown}", token)
        self.offsets.append(token.offset)
        return self.activity(token.word) if token.word in ACTS else self.comparison(token)

    def comparison(self, name: Token) -> Rule:
        field_name = name.text.lower()
        if self.taken("="):
            return Compare(field_name, "=", self.value())
        if self.taken("!=") or self.taken("<>"):
            return Not(Compare(field_name, "=", self.value()))
        if self.taken("not", "in"):
            return Not(Compare(field_name, "in", self.values()))
        if self.taken("in"):
            return Compare(field_name, "in", self.values())
        if self.taken("is", "not", "empty"):
            return Not(Compare(field_name, "empty"))
        if self.taken("is", "empty"):
            return Compare(field_name, "empty")
        if self.taken("within"):
            return Compare(field_name, "within", str(self.span()))
        return self.other_comparison(field_name)

    def other_comparison(self, field_name: str) -> Rule:
        for words, op in (
            (("contains",), "contains"),
            (("starts", "with"), "starts"),
            (("ends", "with"), "ends"),
        ):
            if self.taken(*words):
                return Compare(field_name, op, self.value())
            if self.taken("not", *words):
                return Not(Compare(field_name, op, self.value()))
        op = _SIGNS.get(self.next.word or self.next.sign, "")
        if not op:
            raise self.fault(
                f"after {field_name} comes =, !=, <, >, in, contains, starts with, ends with, before, after, "
                f"within or is empty, not {self.next.shown}"
            )
        self.take()
        return Compare(field_name, op, self.value())

    def activity(self, did: str) -> Rule:
        """What it is limited to may stand in any order, each once."""
        limits: dict[str, str | int] = {}
        while (start := self.next).word in ("campaign", "at", "within"):
            name, value = "", ""  # type: str, str | int
            if self.taken("campaign"):
                self.taken("=")
                name, value = "campaign", self.value()
            elif self.taken("within"):
                name, value = "within_days", self.span()
            elif self.taken("at", "least"):
                name, value = "at_least", self.whole_number()
                if not (self.taken("times") or self.taken("time")):
                    raise self.fault(f"`times` is expected here, not {self.next.shown}")
            else:
                raise self.fault("`at least` is expected here")
            if name in limits:
                raise self.fault(f"`{start.text}` stands here twice", start)
            limits[name] = value
        return Activity(did, **limits)  # type: ignore[arg-type]  # each name has its own type, as above

    def value(self) -> str:
        token = self.take()
        if token.kind not in ("word", "quoted"):
            raise self.fault(f"a value is expected here, not {token.shown}", token)
        if token.word in JOINS:
            raise self.fault(f"put {token.text} in quotes if it is the value", token)
        return token.text

    def values(self) -> tuple[str, ...]:
        if not self.taken("("):
            raise self.fault(f"`(` is expected here, not {self.next.shown}")
        found = [self.value()]
        while self.taken(","):
            found.append(self.value())
        if not self.taken(")"):
            raise self.fault(f"`,` or `)` is expected here, not {self.next.shown}")
        return tuple(found)

    def span(self) -> int:
        """`90 days`, `2 weeks` as days; a month has 30, a year 365."""
        number = self.whole_number()
        unit = self.take()
        if unit.word not in _DAYS:
            raise self.fault(f"`days`, `weeks`, `months` or `years` is expected here, not {unit.shown}", unit)
        return number * _DAYS[unit.word]

    def whole_number(self) -> int:
        token = self.take()
        if not (
            token.kind == "word" and token.text.isascii() and token.text.isdigit() and len(token.text) < 9
        ):
            raise self.fault(f"a whole number is expected here, not {token.shown}", token)
        return int(token.text)


def rule_of(text: str) -> Rule:
    """The rules alone."""
    return parse(text).rule
