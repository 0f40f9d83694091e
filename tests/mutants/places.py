"""Which changes are made, and what a change is called. cosmic-ray finds the places and makes the changes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# One or two opposites of each operator, not all: + becomes - but not also / and %, which the same test would notice.
OPERATORS = re.compile(
    r"core/("
    r"ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|BitAnd_BitOr|"
    r"BitOr_BitAnd|BitXor_BitOr|LShift_RShift|RShift_LShift)|"
    r"ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|"
    r"Is_IsNot|IsNot_Is)|"
    r"ReplaceUnaryOperator_(USub_UAdd|Delete_Not)|"
    r"AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceBreakWithContinue|"
    r"ReplaceContinueWithBreak|NumberReplacer|ZeroIterationForLoop)$"
)


@dataclass(frozen=True)
class Change:
    """One change of a file.

    Attributes:
        line: number of the first line that changes, from 1.
        before, after: that line, without its indentation.
        text: the whole file after the change.
    """

    line: int
    before: str
    after: str
    text: str


def changes(path: Path, functions: Sequence[str] = ()) -> Iterator[Change]:
    """All changes of a file but those that move no number: see `_idle`.

    Args:
        path: the file.
        functions: names of functions; nothing outside them is changed where there are any.
    """
    text = path.read_text()
    tree = ast.parse(text)
    idle = [_span(part) for part in _idle(tree)]
    wanted = [_span(n) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in functions]
    seen = {text}
    for operator in (get_operator(name)() for name in operator_names() if OPERATORS.match(name)):
        places = [place for node in ast_nodes(get_ast(text)) for place in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if _lies_in(place, idle) or (functions and not _lies_in(place, wanted)):
                continue
            changed = mutate_code(text, operator, occurrence)
            if changed is not None and changed not in seen:
                seen.add(changed)
                yield _described(text, changed)


def _described(text: str, changed: str) -> Change:
    pairs = zip(text.splitlines(), changed.splitlines(), strict=False)
    number, (before, after) = next((n, pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
    return Change(number, before.strip(), after.strip(), changed)


Span = tuple[tuple[int, int], tuple[int, int]]


def _lies_in(place: Span, spans: Sequence[Span]) -> bool:
    return any(start <= place[0] and place[1] <= end for start, end in spans)


def _span(node: ast.expr | ast.stmt) -> Span:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _idle(tree: ast.AST) -> Iterator[ast.expr]:
    """Code that moves no number whatever it says.

    Annotations, which are never evaluated; whether a dataclass is frozen; `strict` of zip, which can only raise; and
    imports for the type checker alone.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from node.decorator_list
        if isinstance(node, ast.keyword) and node.arg == "strict":
            yield node.value
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield node.test
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                yield found
