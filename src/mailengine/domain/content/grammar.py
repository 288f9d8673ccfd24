"""What the merge language allows, as a white list over Jinja's syntax tree, and what a template refers to.

Everything that is not named here is refused by name and line: no macros, assignments, imports, blocks, calls
other than `spin(k, n)`, arithmetic, attributes that begin with an underscore, and no literals that could be
multiplied into a bomb.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jinja2 import nodes

from mailengine.domain.content.filters import FILTERS, TESTS

MAX_LOOP_DEPTH = 2
MAX_LIST_ITEMS = 250
MAX_DEPTH = 60  # Python's compiler allows 100 levels of indentation; a template by hand needs five
LOOP_ATTRIBUTES = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
OWN_NAMES = frozenset({"spin", "loop"})

_PLAIN: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Concat,
    nodes.If,
)

_SPOKEN: dict[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call block",
    nodes.FilterBlock: "filter block",
    nodes.Assign: "set",
    nodes.AssignBlock: "set block",
    nodes.With: "with",
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Mul: "multiplication",
    nodes.Pow: "power",
    nodes.Add: "addition",
    nodes.Sub: "subtraction",
    nodes.Div: "division",
    nodes.FloorDiv: "division",
    nodes.Mod: "the operator %",
    nodes.Dict: "a dictionary",
    nodes.Slice: "a slice",
    nodes.Call: "a call",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A construct that the language does not have."""

    line: int
    what: str
    name: str | None = None


def refusals(tree: nodes.Template) -> Iterator[Refusal]:
    """Every construct of the tree that is not on the white list, in the order of the source."""
    return _walk(tree, 0, 0)


def _walk(node: nodes.Node, depth: int, loops: int) -> Iterator[Refusal]:
    if depth > MAX_DEPTH:
        yield Refusal(
            node.lineno, f"conditions or expressions nested more than {MAX_DEPTH} deep are not allowed"
        )
        return
    refusal = _judge(node, loops)
    if refusal is not None:
        yield refusal
        return
    if isinstance(node, nodes.Call):
        return
    deeper = loops + isinstance(node, nodes.For)
    for child in node.iter_child_nodes():
        yield from _walk(child, depth + 1, deeper)


def _judge(node: nodes.Node, loops: int) -> Refusal | None:
    rule = _RULES.get(type(node))
    if rule is not None:
        return rule(node, loops)
    if isinstance(node, _PLAIN):
        return None
    spoken = _SPOKEN.get(type(node), f'"{type(node).__name__.lower()}"')
    return Refusal(node.lineno, f"{spoken} is not allowed in merge tags")


def _judge_const(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Const)
    if node.value is None or isinstance(node.value, str | bool | int | float):
        return None
    return Refusal(node.lineno, "this constant is not allowed in merge tags")


def _judge_filter(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Filter)
    if node.node is None:
        return Refusal(node.lineno, "filter block is not allowed in merge tags")
    if node.name not in FILTERS:
        return Refusal(node.lineno, f'unknown filter "{node.name}"', node.name)
    return _judge_arguments(node, node.kwargs, node.dyn_args, node.dyn_kwargs)


def _judge_test(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Test)
    if node.name not in TESTS:
        return Refusal(node.lineno, f'unknown test "{node.name}"', node.name)
    return _judge_arguments(node, node.kwargs, node.dyn_args, node.dyn_kwargs)


def _judge_arguments(
    node: nodes.Node, keywords: list[nodes.Pair], star: nodes.Expr | None, stars: nodes.Expr | None
) -> Refusal | None:
    if star is not None or stars is not None:
        return Refusal(node.lineno, "* and ** in arguments are not allowed in merge tags")
    del keywords  # their names are checked by the filter, their values by the walk
    return None


def _judge_keyword(_node: nodes.Node, _loops: int) -> Refusal | None:
    return None


def _judge_getattr(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Getattr)
    if node.attr.startswith("_"):
        return Refusal(
            node.lineno, f'"{node.attr}" is not allowed: names may not begin with an underscore', node.attr
        )
    return None


def _judge_getitem(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Getitem)
    key = node.arg
    if isinstance(key, nodes.Neg) and isinstance(key.node, nodes.Const):
        return None
    if not isinstance(key, nodes.Const) or not isinstance(key.value, str | int):
        return Refusal(node.lineno, "only a constant may stand between [ and ] in merge tags")
    if isinstance(key.value, str) and key.value.startswith("_"):
        return Refusal(
            node.lineno, f'"{key.value}" is not allowed: names may not begin with an underscore', key.value
        )
    return None


def _judge_name(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Name)
    if node.name.startswith("_"):
        return Refusal(
            node.lineno, f'"{node.name}" is not allowed: names may not begin with an underscore', node.name
        )
    return None


def _judge_negative(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.UnaryExpr)
    if isinstance(node.node, nodes.Const) and isinstance(node.node.value, int | float):
        return None
    return Refusal(node.lineno, "a sign is only allowed before a number")


def _judge_list(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.List | nodes.Tuple)
    if len(node.items) > MAX_LIST_ITEMS or not all(isinstance(item, nodes.Const) for item in node.items):
        return Refusal(node.lineno, f"a list may hold constants only, at most {MAX_LIST_ITEMS}")
    return None


def _judge_for(node: nodes.Node, loops: int) -> Refusal | None:
    assert isinstance(node, nodes.For)
    if loops >= MAX_LOOP_DEPTH:
        return Refusal(node.lineno, f"loops may be nested at most {MAX_LOOP_DEPTH} deep")
    if node.recursive or node.test is not None:
        return Refusal(node.lineno, "a loop with a condition or recursion is not allowed")
    if not isinstance(node.target, nodes.Name) or not isinstance(node.iter, nodes.Name | nodes.Getattr):
        return Refusal(node.lineno, "a loop has the form {% for item in attribute %}")
    return None


def _judge_call(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Call)
    plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs) and len(node.args) == 2
    numbers = all(isinstance(arg, nodes.Const) and isinstance(arg.value, int) for arg in node.args)
    if isinstance(node.node, nodes.Name) and node.node.name == "spin" and plain and numbers:
        return None
    name = node.node.name if isinstance(node.node, nodes.Name) else None
    return Refusal(node.lineno, "a call is not allowed in merge tags: filters are written value|filter", name)


def _judge_include(node: nodes.Node, _loops: int) -> Refusal | None:
    assert isinstance(node, nodes.Include)
    name = str(node.template.value) if isinstance(node.template, nodes.Const) else None
    return Refusal(node.lineno, 'a shared block is included as {% include "name" %} and must exist', name)


_RULES: dict[type[nodes.Node], Callable[[nodes.Node, int], Refusal | None]] = {
    nodes.Const: _judge_const,
    nodes.Filter: _judge_filter,
    nodes.Test: _judge_test,
    nodes.Keyword: _judge_keyword,
    nodes.Getattr: _judge_getattr,
    nodes.Getitem: _judge_getitem,
    nodes.Name: _judge_name,
    nodes.Neg: _judge_negative,
    nodes.Pos: _judge_negative,
    nodes.List: _judge_list,
    nodes.Tuple: _judge_list,
    nodes.For: _judge_for,
    nodes.Call: _judge_call,
    nodes.Include: _judge_include,
}


def free_names(tree: nodes.Node) -> Iterator[nodes.Name]:
    """Every name the template reads from the recipient's values (loop variables and own names excluded)."""
    return _free(tree, OWN_NAMES)


def _free(node: nodes.Node, bound: frozenset[str]) -> Iterator[nodes.Name]:
    if isinstance(node, nodes.Name):
        if node.name not in bound:
            yield node
    elif isinstance(node, nodes.For):
        yield from _free(node.iter, bound)
        inner = bound | _targets(node.target)
        for child in (*node.body, *node.else_):
            yield from _free(child, inner)
    else:
        for child in node.iter_child_nodes():
            yield from _free(child, bound)


def _targets(target: nodes.Node) -> frozenset[str]:
    return frozenset({target.name}) if isinstance(target, nodes.Name) else frozenset()


def bare_names(tree: nodes.Template) -> Iterator[str]:
    """Names that are printed without a default and outside a condition on them."""
    return _bare(tree, OWN_NAMES, printed=False)


def _bare(node: nodes.Node, safe: frozenset[str], *, printed: bool) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        if printed and node.name not in safe:
            yield node.name
    elif isinstance(node, nodes.Filter) and node.name in ("default", "d"):
        for fallback in node.args:
            yield from _bare(fallback, safe, printed=printed)
    elif isinstance(node, nodes.If | nodes.CondExpr):
        yield from _bare_branches(node, safe, printed=printed)
    elif isinstance(node, nodes.For):
        inner = safe | _targets(node.target) | _names(node.iter)
        for statement in node.body:
            yield from _bare(statement, inner, printed=printed)
    else:
        inside = printed or isinstance(node, nodes.Output)
        for child in node.iter_child_nodes():
            yield from _bare(child, safe, printed=inside)


def _bare_branches(node: nodes.If | nodes.CondExpr, safe: frozenset[str], *, printed: bool) -> Iterator[str]:
    negative = isinstance(node.test, nodes.Not)
    tested = safe | _names(node.test)
    yes, no = (safe, tested) if negative else (tested, safe)
    if isinstance(node, nodes.CondExpr):
        yield from _bare(node.expr1, yes, printed=printed)
        if node.expr2 is not None:
            yield from _bare(node.expr2, no, printed=printed)
        return
    for child in node.body:
        yield from _bare(child, yes, printed=printed)
    for child in (*node.elif_, *node.else_):
        yield from _bare(child, no, printed=printed)


def _names(node: nodes.Node) -> frozenset[str]:
    return _targets(node) | frozenset(name.name for name in node.find_all(nodes.Name))
