"""No code compares names of operations, and what operations report of a plan agrees with their effect on a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import petscale
from petscale.errors import BadInput
from petscale.tuning.host import Host
from petscale.tuning.inventory import inventory
from petscale.tuning.operations.registry import OPERATIONS, operation_of
from petscale.tuning.parametrisations.registry import PARAMETRISATIONS
from petscale.tuning.plan import Plan

from .tiny import TINY, methods_for, small_plan

PACKAGE = Path(petscale.__file__).parent
# Operations themselves; sites and methods hold their names as data, and APET's options are such names.
ALLOWED = ("tuning/operations/", "tuning/methods/", "tuning/sites.py")
HOMONYMS = {"scale"}  # also the size of a backbone, so it counts only beside the word operation


def names_compared(code: str) -> Iterator[str]:
    """Operation names that code compares with, in `==`, `in`, `match`, or as keys of a dictionary."""
    for node in ast.walk(ast.parse(code)):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            found = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            found = list(node.keys)
        elif isinstance(node, ast.MatchValue):
            found = [node.value]
        names = OPERATIONS if "operation" in ast.unparse(node) else set(OPERATIONS) - HOMONYMS
        for part in found:
            for leaf in ast.walk(part) if part is not None else ():
                if isinstance(leaf, ast.Constant) and leaf.value in names:
                    yield str(leaf.value)


@pytest.mark.parametrize(
    "code",
    [
        'x = site.operation == "add"',
        'x = site.operation == "scale"',
        'x = "concat" != site.operation',
        'x = site.operation in ("add", "concat")',
        'x = {site.operation} - {"add-scores"} == set()',
        'x = {"plug": 1}[site.operation]',
        'match site.operation:\n    case "concat-input":\n        pass',
    ],
)
def test_the_search_finds_comparisons(code: str) -> None:
    assert list(names_compared(code))


def test_nobody_else_compares_an_operations_name() -> None:
    """Otherwise a new operation would need changes in other modules."""
    found = {
        str(file.relative_to(PACKAGE)): sorted(set(names_compared(file.read_text())))
        for file in PACKAGE.rglob("*.py")
        if not str(file.relative_to(PACKAGE)).startswith(ALLOWED)
    }
    assert {file: names for file, names in found.items() if names} == {}


def _plans() -> Iterator[tuple[str, Plan]]:
    for family, make in TINY.items():
        shape = make().shape
        for method in methods_for(shape):
            yield family, small_plan(shape, method)
        for operation in ("concat", "plug"):
            yield family, small_plan(shape, "apet-discrete", options={"operations": [operation], "rank": 3})


@pytest.mark.parametrize(("family", "plan"), _plans(), ids=lambda value: getattr(value, "method", value))
def test_a_plan_foresees_what_can_be_folded(family: str, plan: Plan) -> None:
    """`reach` asks the inventory and `refusal` the model; both must say the same of every site."""
    model = TINY[family]().model
    host, offered = Host(model, plan.shape), inventory(plan.shape)
    for site in plan.sites:
        operation = operation_of(site)
        reaches = operation.reach(site, plan.tensors_of(site), offered)
        assert (not reaches) == (operation.refusal(host, site) is not None), site.name
        assert {reach.tensor for reach in reaches} <= offered.names


def test_an_unknown_operation_or_parametrisation_is_one_line() -> None:
    with pytest.raises(BadInput, match="unknown operation 'multiply'; operations: add, add-hidden"):
        OPERATIONS["multiply"]
    with pytest.raises(BadInput, match="unknown parametrisation 'dense'; parametrisations: plain, low-rank"):
        PARAMETRISATIONS["dense"]


def test_a_name_is_registered_once_and_for_the_context() -> None:
    with pytest.raises(BadInput, match="operation 'add' exists already"), OPERATIONS.registered(OPERATIONS["add"]):
        pass
    assert "add" in OPERATIONS
