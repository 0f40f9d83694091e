"""Only the registry knows the names of families, and an unknown name gives one clear line everywhere."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import petscale
from petscale.backbones.catalogue import lookup as backbone_entry
from petscale.backbones.load import load_model
from petscale.cli.main import main
from petscale.errors import BadInput, Exit
from petscale.families.registry import FAMILIES, lookup, registered, shape_from_config, total_parameters
from petscale.families.shape import BackboneShape
from petscale.tuning.registry import make_plan

SOURCE = Path(petscale.__file__).parent
LINE = r"'gpt9' is not a supported family; use t5 or bert"


def _names_in(node: ast.AST) -> list[str]:
    return [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and inner.value in set(FAMILIES)]


def _decides(node: ast.AST) -> list[str]:
    """Names of families by which a piece of code takes one way or another."""
    if isinstance(node, ast.Compare):
        return _names_in(node)
    if isinstance(node, ast.MatchValue):
        return _names_in(node.value)
    if isinstance(node, ast.Dict):  # a table of ways, one a family
        return [name for key in node.keys if key is not None for name in _names_in(key)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
        return [name for argument in node.args for name in _names_in(argument)]
    return []


def test_no_module_outside_the_families_decides_by_a_family_s_name() -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{node.lineno}: {name}"
        for path in SOURCE.rglob("*.py")
        if SOURCE / "families" not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _decides(node)
    }
    assert not found


def test_the_look_for_decisions_sees_them() -> None:
    text = """
a = shape.family == "t5"
b = {"bert": 1}[family]
c = family not in ("t5", "bert")
match family:
    case "t5":
        pass
d = name.startswith("bert")
e = Entry(family="t5")
"""
    lines = [node.lineno for node in ast.walk(ast.parse(text)) if _decides(node)]
    assert sorted(lines) == [2, 3, 4, 6, 8]


def test_an_unknown_family_is_one_line_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = BackboneShape("gpt9", d_model=8, d_ff=16, heads=2, d_kv=4, layers=1, decoder_layers=0, vocab=10)
    with pytest.raises(BadInput, match=LINE):
        lookup("gpt9")
    with pytest.raises(BadInput, match=LINE):
        total_parameters(shape)
    with pytest.raises(BadInput, match=LINE):
        make_plan(shape, "full")
    with pytest.raises(BadInput, match=LINE):
        load_model(tmp_path, "gpt9")
    with pytest.raises(BadInput, match=f"config key model_type: {LINE}"):
        shape_from_config({"model_type": "gpt9"})
    with pytest.raises(BadInput, match="config key model_type: None is not a supported family"):
        shape_from_config({})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt9"}))
    assert main(["count", str(tmp_path), "full"]) == Exit.BAD_INPUT
    said = capsys.readouterr().err
    assert LINE in said and said.count("\n") == 1


def test_a_name_is_taken_once() -> None:
    with pytest.raises(BadInput, match="a family 't5' exists already"), registered(FAMILIES["t5"]):
        pass


@pytest.mark.parametrize("name", ["google/t5-v1_1-small", "t5-large", "bert-large", "mini-t5-small", "mini-bert-base"])
def test_the_closed_formula_counts_what_the_inventory_lists(name: str) -> None:
    shape = backbone_entry(name).shape
    family = lookup(shape.family)
    assert family.parameters(shape) == sum(weight.size for weight in family.weights(shape, None))
