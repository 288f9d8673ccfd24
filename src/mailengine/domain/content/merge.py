"""The merge language: a small, sandboxed part of Jinja2, checked, then compiled once and rendered often.

Invariants: only what `grammar` lists compiles; a value is printed through one function that escapes it, so
there is no safe string and no second way out; a name without value is refused, it never becomes a blank.

Order of a source's way: `resolve_blocks`, `spintax.to_jinja`, `check`, `links.rewrite`, `compile_template`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import TemplateSyntaxError, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nodes import EvalContext
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import escape

from mailengine.core.errors import InvalidInput
from mailengine.domain.content import grammar
from mailengine.domain.content.filters import (
    FILTERS,
    TESTS,
    MissingTag,
    RenderError,
    loop_items,
    refuse_missing,
    text_of,
)
from mailengine.domain.content.includes import MAX_SOURCE_CHARS, nearest, resolve_blocks
from mailengine.domain.content.spintax import to_jinja
from mailengine.domain.content.values import Ready

__all__ = [
    "Compiled",
    "Problem",
    "RenderError",
    "check",
    "compile_template",
    "names_without_default",
    "resolve_blocks",
]

MAX_LOOPED_CHARS = 2_000_000  # a message above it is no newsletter but a loop in a loop
Target = Literal["html", "text", "header"]

_RAW = re.compile(r"\{%[-+]?\s*(raw|endraw)\b")
_MARKUP = re.compile("[&<>\"']")  # the search costs half of what `escape` does
_SHORT_CHARS = 30  # longer ones are links and texts, of which each recipient has their own
_KNOWN_VALUES = 4096
_HEADER_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that stops it from being sent."""

    kind: Literal["syntax", "unknown_tag", "forbidden"]
    message: str  # for persons: "line 12: …"
    line: int
    name: str | None = None
    suggestion: str | None = None


class _Generator(CodeGenerator):
    """What is printed goes through `_printer` alone, which makes text of it: no `str` around it."""

    def _output_child_pre(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        self.write("environment.finalize(None, ")

    def _output_child_post(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        self.write(")")


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with an empty house: own filters and tests, no globals, attributes of mappings and loops only."""

    code_generator_class = _Generator

    def __init__(self) -> None:
        super().__init__(undefined=MissingTag, keep_trailing_newline=True, cache_size=0)
        self.globals.clear()
        self.filters = {**FILTERS, "_loop_items": loop_items}
        self.tests = {name: test for name, test in self.tests.items() if name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(name=attribute)
        if isinstance(obj, LoopContext) and attribute in grammar.LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        if isinstance(obj, MissingTag):
            return obj  # what has no value is the tag, not its attribute
        return self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping | MissingTag):
            return self.getattr(obj, argument)
        if (
            isinstance(obj, str | list | tuple)
            and isinstance(argument, int)
            and -len(obj) <= argument < len(obj)
        ):
            return obj[argument]
        return self.undefined(name=str(argument))


_CHECKER = _Environment()


def _tree(parsed: tuple[Problem, nodes.Template | None]) -> nodes.Template:
    """The syntax tree; raises InvalidInput with the line."""
    problem, tree = parsed
    if tree is None:
        raise InvalidInput(problem.message)
    return tree


def _parsed(source: str) -> tuple[Problem, nodes.Template | None]:
    if len(source) > MAX_SOURCE_CHARS:
        return _syntax(1, f"the source is longer than {MAX_SOURCE_CHARS} characters"), None
    try:
        return _syntax(1, ""), _CHECKER.parse(source)
    except TemplateSyntaxError as error:
        return _syntax(error.lineno, _spoken(error)), None
    except RecursionError:
        return _syntax(1, "merge tags are nested too deeply"), None
    except (ValueError, OverflowError) as error:  # a number or an escape that Python cannot read
        return _syntax(1, f"a constant cannot be read ({error})"), None


def _spoken(error: TemplateSyntaxError) -> str:
    text = (error.message or "syntax error").rstrip(".")
    return text[:1].lower() + text[1:]


def _syntax(line: int, text: str) -> Problem:
    return Problem("syntax", f"line {line}: {text}", line)


def _parsed_source(source: str) -> tuple[Problem, nodes.Template | None]:
    """The tree of a source as a person wrote it: with its spintax."""
    try:
        return _parsed(to_jinja(source))
    except InvalidInput as error:
        line = re.match(r"line (\d+)", str(error))
        return Problem("syntax", str(error), int(line[1]) if line else 1), None


def check(source: str, *, known: Collection[str]) -> list[Problem]:
    """All that is wrong with a source: syntax, unknown tags, what is forbidden.

    Takes the source as written, spintax included, shared blocks resolved. Check before sanitising: there an
    unclosed `{{` becomes text.
    """
    problem, tree = _parsed_source(source)
    if tree is None:
        return [problem]
    found = [*_forbidden(source, tree), *_unknown(tree, known)]
    return sorted(found, key=lambda each: each.line)


def _forbidden(source: str, tree: nodes.Template) -> Iterator[Problem]:
    for match in _RAW.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        yield Problem("forbidden", f"line {line}: {match[1]} is not allowed in merge tags", line, match[1])
    for refusal in grammar.refusals(tree):
        hint = nearest(refusal.name, FILTERS if "filter" in refusal.what else TESTS)
        suffix = f' (did you mean "{hint}"?)' if hint and refusal.what.startswith("unknown") else ""
        text = f"line {refusal.line}: {refusal.what}{suffix}"
        yield Problem("forbidden", text, refusal.line, refusal.name, hint if suffix else None)


def _unknown(tree: nodes.Template, known: Collection[str]) -> Iterator[Problem]:
    seen: set[tuple[str, int]] = set()
    for name in grammar.free_names(tree):
        if name.name in known or name.name.startswith("_") or (name.name, name.lineno) in seen:
            continue
        seen.add((name.name, name.lineno))
        hint = nearest(name.name, known)
        suffix = f' (did you mean "{hint}"?)' if hint else ""
        text = f'line {name.lineno}: unknown merge tag "{name.name}"{suffix}'
        yield Problem("unknown_tag", text, name.lineno, name.name, hint)


def used_names(source: str) -> frozenset[str]:
    """The names that a source reads. Raises InvalidInput when it does not parse."""
    return frozenset(name.name for name in grammar.free_names(_tree(_parsed_source(source))))


def names_without_default(source: str) -> frozenset[str]:
    """The names that are printed without `default` and outside `{% if name %}`."""
    return frozenset(grammar.bare_names(_tree(_parsed_source(source))))


class Known(dict[str, object]):
    """A recipient's values, as compiled templates look them up: what is not there is `missing`, not an error."""

    __slots__ = ()

    def __missing__(self, name: str) -> object:
        return missing


class _Values:
    """What Jinja's generated code asks of its context: one look-up and the evaluation context.

    A full `jinja2.runtime.Context` costs several microseconds a message for inheritance and exports that the
    language does not have.
    """

    __slots__ = ("eval_ctx", "resolve_or_missing")

    def __init__(self, look_up: Callable[[str], object], eval_ctx: EvalContext) -> None:
        self.resolve_or_missing = look_up
        self.eval_ctx = eval_ctx

    def call(self, function: Callable[..., object], *args: object) -> object:
        refuse_missing(function)
        return function(*args)


class Compiled:
    """A template ready for rendering; safe to share between threads."""

    __slots__ = ("_eval_ctx", "_has_loop", "_root", "names")

    def __init__(self, environment: _Environment, tree: nodes.Template, names: frozenset[str]) -> None:
        self.names = names
        self._has_loop = next(tree.find_all(nodes.For), None) is not None
        code = environment.compile(tree)
        template = environment.template_class.from_code(environment, code, {}, None)
        self._root: Callable[[Any], Iterator[str]] = template.root_render_func
        self._eval_ctx = EvalContext(environment, None)

    def render(self, values: Mapping[str, object]) -> str:
        """The text for one recipient. Raises RenderError naming the tag that has no value."""
        parts: list[str] = []
        self.render_into(parts, values)
        return "".join(parts)

    def render_into(self, parts: list[str], values: Mapping[str, object]) -> None:
        """The same text behind others, in pieces; of `Known` values, none is copied."""
        known = values if type(values) is Known else Known(values)
        rendered = self._root(_Values(known.__getitem__, self._eval_ctx))
        try:
            parts.extend(_bounded(rendered) if self._has_loop else rendered)
        except RenderError:
            raise
        except Exception as error:
            # Anything else comes from a value of an unexpected type (a text compared with a number).
            raise RenderError(f"a merge tag cannot be rendered for this recipient: {error}") from error


def _bounded(parts: Iterator[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        length += len(part)
        if length > MAX_LOOPED_CHARS:
            raise RenderError(f"loops make the message longer than {MAX_LOOPED_CHARS} characters")
        yield part


def _identity(text: str) -> str:
    return text


def compile_template(
    source: str,
    *,
    target: Target,
    static: Callable[[str], str] = _identity,
    value: Callable[[str], str] = _identity,
) -> Compiled:
    """Check and compile a source whose blocks and spintax are resolved.

    `static` is applied once to each literal segment, `value` to each printed value after its escaping (HTML)
    or the removal of line breaks (header). Raises InvalidInput for the first thing that is wrong.
    """
    tree = _tree(_parsed(source))
    refused = next(_forbidden(source, tree), None)
    if refused is not None:
        raise InvalidInput(refused.message)
    names = frozenset(name.name for name in grammar.free_names(tree))
    _encode_static(tree, static)
    _bound_loops(tree)
    environment = _Environment()
    environment.finalize = _printer(target, value)
    try:
        return Compiled(environment, tree, names)
    except (SyntaxError, RecursionError, MemoryError, TemplateSyntaxError) as error:
        raise InvalidInput(
            "the template is nested too deeply to compile: use fewer conditions in conditions"
        ) from error


def _encode_static(tree: nodes.Template, static: Callable[[str], str]) -> None:
    for segment in tree.find_all(nodes.TemplateData):
        segment.data = static(segment.data)


def _bound_loops(tree: nodes.Template) -> None:
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "_loop_items", [], [], None, None, lineno=loop.lineno)


def _printer(target: Target, value: Callable[[str], str]) -> Callable[[None, object], str]:
    """The one way out for values. It asks for the evaluation context so that Jinja folds no constant past it.

    Short values repeat from recipient to recipient (first names, towns, plans): they are encoded once.
    """
    clean = _CLEANERS[target]
    known: dict[str, str] = {}

    @pass_eval_context
    def print_value(_context: None, printed: object) -> str:
        if type(printed) is Ready:
            return printed.printed
        if not isinstance(printed, str):
            return "" if printed is None else value(clean(text_of(printed)))
        encoded = known.get(printed)
        if encoded is None:
            encoded = value(clean(printed))
            if len(printed) <= _SHORT_CHARS:
                if len(known) >= _KNOWN_VALUES:
                    known.clear()
                known[printed] = encoded
        return encoded

    return print_value


def _escaped(text: str) -> str:
    return str(escape(text)) if _MARKUP.search(text) else text


def _one_line(text: str) -> str:
    """RFC 5322 2.2: a field body holds no bare CR or LF; a name with one must not start a new header."""
    return _HEADER_CONTROLS.sub(" ", text) if not text.isprintable() else text


_CLEANERS: Mapping[Target, Callable[[str], str]] = {"html": _escaped, "text": _identity, "header": _one_line}
