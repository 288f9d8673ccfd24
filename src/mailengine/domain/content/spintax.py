r"""Spintax: `{Hi|Hello|Hey {{ first_name }}}` becomes a choice that is made per recipient.

A group is rewritten to `{% if spin(k, n) == 0 %}Hi{% elif … %}`, where `spin` is a function in the values of
the recipient (`spinner`), so that the same recipient always gets the same words. Braces without a pipe at
their level are text; `\{`, `\|` and `\}` are the characters themselves. Never touched: merge tags, `<style>`
blocks, comments, tags and style attributes. A group lives in the text *or* inside one attribute value, never
across the border: otherwise choosing an option could cut an attribute's quote and let markup out of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from mailengine.core.errors import InvalidInput
from mailengine.domain.content.lexing import MARK_PATTERN, MARK_START, TAG_BODY, protect

# Against bombs: depth bounds the nesting of the compiled template, the number of groups bounds the code that
# one source expands to, options bound one chain. A newsletter by hand stays far below each of them.
MAX_DEPTH = 8
MAX_GROUPS = 200
MAX_OPTIONS = 100
MAX_VARIANTS = 1_000_000_000

_TOKEN = re.compile(
    rf"(?P<escape>\\[{{|}}])|(?P<opaque>{MARK_PATTERN}|<style\b.*?</style\s*>|<!--.*?-->)"
    rf"|(?P<tag></?[a-zA-Z]{TAG_BODY}>)|(?P<brace>[{{|}}])",
    re.S | re.I,
)
_ATTRIBUTE = re.compile(r"""([^\s"'=<>/]+)(\s*=\s*)("[^"]*"|'[^']*')""")


@dataclass(slots=True)
class _Group:
    position: int
    options: list[list[str]] = field(default_factory=lambda: [[]])
    counts: list[int] = field(default_factory=lambda: [1])
    depth: int = 0  # of the deepest group inside


class _Spinner:
    """One pass over one source; numbers groups over text and attributes together."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.groups = 0

    def run(self, text: str, offset: int = 0) -> tuple[str, int]:
        """The rewritten text and the number of its variants."""
        stack = [_Group(offset)]
        position = 0
        for match in _TOKEN.finditer(text):
            stack[-1].options[-1].append(text[position : match.start()])
            self._take(stack, match, offset, text)
            position = match.end()
        stack[-1].options[-1].append(text[position:])
        while len(stack) > 1:  # never closed: the characters themselves
            _flatten(stack, stack.pop(), closed=False)
        return "".join(stack[0].options[0]), stack[0].counts[0]

    def _take(self, stack: list[_Group], match: re.Match[str], offset: int, text: str) -> None:
        piece, top = match[0], stack[-1]
        if match["escape"]:
            top.options[-1].append(_literal(piece[1]))
        elif match["opaque"]:
            top.options[-1].append(piece)
        elif match["tag"]:
            rewritten, count = self._tag(piece, offset + match.start())
            top.options[-1].append(rewritten)
            _multiply(top, count)
        elif piece == "{":
            stack.append(_Group(offset + match.start()))
        elif len(stack) == 1:
            top.options[-1].append(piece)
        elif piece == "|":
            top.options.append([])
            top.counts.append(1)
        else:
            self._close(stack)

    def _tag(self, tag: str, offset: int) -> tuple[str, int]:
        variants = 1

        def rewrite(match: re.Match[str]) -> str:
            nonlocal variants
            name, equals, quoted = match.groups()
            if name.lower() == "style" or "{" not in quoted:
                return match[0]
            value, count = self.run(quoted[1:-1], offset + match.start(3) + 1)
            variants = min(variants * count, MAX_VARIANTS)
            return f"{name}{equals}{quoted[0]}{value}{quoted[0]}"

        return _ATTRIBUTE.sub(rewrite, tag), variants

    def _close(self, stack: list[_Group]) -> None:
        group = stack.pop()
        if len(group.options) == 1:
            _flatten(stack, group, closed=True)
            return
        self._check(group)
        number = self.groups
        self.groups += 1
        parent = stack[-1]
        parent.depth = max(parent.depth, group.depth + 1)
        parent.options[-1].append(_chain(number, ["".join(option) for option in group.options]))
        _multiply(parent, min(sum(group.counts), MAX_VARIANTS))

    def _check(self, group: _Group) -> None:
        if group.depth + 1 > MAX_DEPTH:
            raise InvalidInput(f"line {self._line(group)}: spintax is nested more than {MAX_DEPTH} deep")
        if self.groups >= MAX_GROUPS:
            raise InvalidInput(f"line {self._line(group)}: more than {MAX_GROUPS} spintax groups")
        if len(group.options) > MAX_OPTIONS:
            raise InvalidInput(
                f"line {self._line(group)}: a spintax group with more than {MAX_OPTIONS} options"
            )

    def _line(self, group: _Group) -> int:
        return self.text.count("\n", 0, group.position) + 1


_TAG_STARTS = ("{% if spin(", "{{ '{' }}", MARK_START)


def _multiply(group: _Group, count: int) -> None:
    group.counts[-1] = min(group.counts[-1] * count, MAX_VARIANTS)


def _flatten(stack: list[_Group], group: _Group, *, closed: bool) -> None:
    """Give a group that is none back to its parent as text, with what was rewritten inside it."""
    parent = stack[-1]
    body = "|".join("".join(option) for option in group.options)
    # A brace before a tag is text; one before a brace stays an unclosed tag, which compiling reports.
    opening = "{{ '{' }}" if body.startswith(_TAG_STARTS) else "{"
    parent.options[-1].append(f"{opening}{body}}}" if closed else f"{opening}{body}")
    parent.depth = max(parent.depth, group.depth)
    for count in group.counts:
        _multiply(parent, count)


def _literal(character: str) -> str:
    """An escaped brace as an expression, since next to another brace it would open a merge tag."""
    return "{{ '{' }}" if character == "{" else character


def _chain(number: int, options: list[str]) -> str:
    count = len(options)
    parts = [f"{{% if spin({number}, {count}) == 0 %}}{options[0]}"]
    parts += [f"{{% elif spin({number}, {count}) == {i} %}}{options[i]}" for i in range(1, count - 1)]
    parts += ["{% else %}", options[-1], "{% endif %}"]
    return "".join(parts)


def to_jinja(source: str) -> str:
    """Rewrite the spintax of `source` (HTML or plain text) as conditions on `spin(k, n)`.

    Raises InvalidInput, with the line, above the limits.
    """
    if "|" not in source and "\\" not in source and "{" not in source:
        return source
    protected = protect(source)
    rewritten, _ = _Spinner(protected.text).run(protected.text)
    return protected.restore(rewritten)


def variants(source: str) -> int:
    """How many different texts the spintax of `source` can give, at most MAX_VARIANTS."""
    protected = protect(source)
    return _Spinner(protected.text).run(protected.text)[1]


_MASK = (1 << 64) - 1


def spinner(seed: str) -> Callable[[int, int], int]:
    """The `spin(k, n)` of one recipient: group `k` of `n` options → 0…n-1, the same for the same seed."""
    base: int | None = None  # most messages have no spintax and never ask

    def spin(group: int, options: int) -> int:
        nonlocal base
        if base is None:
            base = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest())
        # splitmix64's finaliser (Steele, Lea, Flood 2014): groups of one recipient are independent.
        mixed = (base + (group + 1) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) * options) >> 64

    return spin
