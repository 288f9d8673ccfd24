"""A segment's rules as the builder shows them: lines in a form, each under a group, and back.

Every line has a key that it keeps while others come and go, so that what was typed stays with it. The hidden fields
`line` say in the page's order which lines there are (`7:3` is line 7 in group 3); what belongs to line 7 is called
`l7_field`, `l7_op` and so on. What comes in may be written by anybody: a line whose group did not come before it is
left out, so there are no circles.

A line that says no field yet, or no value, is unfinished: it is not wrong before somebody wants to save it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from mailengine.domain.contacts.segments.rules import (
    ACTS,
    MAX_DEPTH,
    MAX_RULES,
    Activity,
    All,
    AnyOf,
    Compare,
    Everyone,
    Not,
    Rule,
)
from mailengine.web.forms import Form

ROOT = 1
MAX_LEVELS = MAX_DEPTH + 2  # a rule of the depth that is allowed, with negations that are groups here
MAX_LINES = 3 * MAX_RULES  # conditions and the groups around them; more was not made by our page
EVERYONE = "everyone"  # as a line of its own, where a text says so inside a group
NOT = "not "  # before an operator


@dataclass(slots=True)
class Condition:
    """One comparison, or one act when `about` is one of `ACTS`. Texts as they were typed; `op` has `not ` before it
    when it is negated, and is `did` for an act."""

    key: int
    about: str = ""
    op: str = "="
    values: list[str] = field(default_factory=list)
    campaign: str = ""
    times: str = ""
    days: str = ""
    error: str = ""

    @property
    def is_act(self) -> bool:
        return self.about in ACTS

    @property
    def plain_op(self) -> str:
        return self.op.removeprefix(NOT)

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def unfinished(self) -> bool:
        if self.is_act or self.about == EVERYONE or (self.about and self.plain_op == "empty"):
            return False
        return not self.about or not any(each.strip() for each in self.values)

    def rule(self) -> Rule:
        """Also of one that is unfinished or wrong: `check` says why."""
        bare: Rule = self._activity() if self.is_act else self._comparison()
        if self.about == EVERYONE:
            bare = Everyone()
        return Not(bare) if self.op.startswith(NOT) else bare

    def _activity(self) -> Activity:
        return Activity(
            self.about,
            campaign=self.campaign or None,
            at_least=_count(self.times, default=1),
            within_days=_count(self.days, default=0) if self.days.strip() else None,
        )

    def _comparison(self) -> Compare:
        if self.plain_op == "empty":
            return Compare(self.about, self.plain_op)
        if self.plain_op == "in":
            return Compare(self.about, "in", tuple(dict.fromkeys(each for each in self.values if each)))
        return Compare(self.about, self.plain_op, self.value)


@dataclass(slots=True)
class Group:
    """`join` is all or any."""

    key: int
    join: str = "all"
    negated: bool = False
    lines: list["Group | Condition"] = field(default_factory=list)

    @property
    def unfinished(self) -> bool:
        return all(each.unfinished for each in self.lines)

    def rule(self) -> Rule:
        """Without what is unfinished; a whole that says nothing is everyone."""
        said = tuple(each.rule() for each in self.lines if not each.unfinished)
        inside: Rule = Everyone()
        if said:
            inside = AnyOf(said) if self.join == "any" else All(said)
        return Not(inside) if self.negated else inside

    def conditions(self) -> list[Condition]:
        return [each for each in self.walk() if isinstance(each, Condition)]

    def walk(self) -> Iterator["Group | Condition"]:
        """This group and all in it, as they stand on the page."""
        yield self
        for each in self.lines:
            if isinstance(each, Group):
                yield from each.walk()
            else:
                yield each

    def find(self, key: int) -> "Group | None":
        return next((each for each in self.walk() if isinstance(each, Group) and each.key == key), None)

    def remove(self, key: int) -> int:
        """Take the line away; the key of the group that it was in."""
        for group in [each for each in self.walk() if isinstance(each, Group)]:
            kept = [each for each in group.lines if each.key != key]
            if len(kept) < len(group.lines):
                group.lines = kept
                return group.key
        return self.key

    def free_key(self) -> int:
        return max(each.key for each in self.walk()) + 1


def draft_of(rule: Rule) -> Group:
    """The lines of a rule; `rule()` of them is the same rule once it is normal."""
    keys = itertools.count(ROOT)
    root = Group(next(keys))
    inside = rule
    if isinstance(rule, Not) and isinstance(rule.negated, All | AnyOf | Everyone):
        root.negated, inside = True, rule.negated
    match inside:
        case All(rules=rules):
            root.lines = [_line(each, keys) for each in rules]
        case AnyOf(rules=rules):
            root.join, root.lines = "any", [_line(each, keys) for each in rules]
        case Everyone():
            pass
        case _:
            root.lines = [_line(inside, keys)]
    return root


def _line(rule: Rule, keys: Iterator[int], *, negated: bool = False) -> Group | Condition:
    key = next(keys)
    match rule:
        case Not(negated=Not() as inside):
            return Group(key, negated=True, lines=[_line(inside, keys)])
        case Not(negated=inside):
            return _line(inside, keys, negated=True)
        case All(rules=rules):
            return Group(key, "all", negated, [_line(each, keys) for each in rules])
        case AnyOf(rules=rules):
            return Group(key, "any", negated, [_line(each, keys) for each in rules])
        case Compare():
            return Condition(key, rule.field, (NOT if negated else "") + rule.op, _texts(rule))
        case Activity():
            return Condition(
                key,
                rule.did,
                (NOT if negated else "") + "did",
                campaign=rule.campaign or "",
                times="" if rule.at_least == 1 else str(rule.at_least),
                days="" if rule.within_days is None else str(rule.within_days),
            )
        case Everyone():
            return Condition(key, EVERYONE, (NOT if negated else "") + "did")


def _texts(rule: Compare) -> list[str]:
    if rule.value is None:
        return []
    return [str(each) for each in rule.value] if isinstance(rule.value, tuple) else [str(rule.value)]


def draft_in(form: Form) -> Group:
    """The lines that were sent."""
    root = Group(ROOT, _join(form, ROOT), form.flag(f"l{ROOT}_not"))
    groups, levels, seen = {ROOT: root}, {ROOT: 1}, {ROOT}
    for text in form.texts("line")[:MAX_LINES]:
        key, inside = _pair(text)
        if key in seen or inside not in groups or levels[inside] >= MAX_LEVELS:
            continue
        seen.add(key)
        line: Group | Condition
        if form.value(f"l{key}_join"):
            line = groups[key] = Group(key, _join(form, key), form.flag(f"l{key}_not"))
            levels[key] = levels[inside] + 1
        else:
            line = _condition_in(form, key)
        groups[inside].lines.append(line)
    return root


def _condition_in(form: Form, key: int) -> Condition:
    found = Condition(
        key,
        form.text(f"l{key}_field"),
        form.text(f"l{key}_op") or "=",
        campaign=form.text(f"l{key}_campaign"),
        times=form.text(f"l{key}_times"),
        days=form.text(f"l{key}_days"),
    )
    typed = form.texts(f"l{key}_value")
    if found.plain_op == "in":  # a line each, or a box each
        typed = [part.strip() for text in typed for part in text.split("\n") if part.strip()]
    found.values = [each.strip() for each in typed]
    return found


def _join(form: Form, key: int) -> str:
    return "any" if form.text(f"l{key}_join") == "any" else "all"


def _pair(text: str) -> tuple[int, int]:
    """`7:3`; (0, 0), which is no line, for anything else."""
    key, _, inside = text.partition(":")
    if not all(each.isascii() and each.isdigit() and len(each) < 7 for each in (key, inside)):
        return 0, 0
    return int(key), int(inside)


def _count(text: str, *, default: int) -> int:
    """A number as typed; 0 for what is none, which no rule allows."""
    text = text.strip()
    if not text:
        return default
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
