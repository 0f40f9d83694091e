"""Options of methods have their types and defaults in plans, and a wrong option gives one clear line everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args

import pytest
from pydantic import Field

from petscale.backbones.catalogue import lookup
from petscale.cli.main import main
from petscale.errors import BadInput
from petscale.tuning import registry
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Options, Positive, Request, Whole
from petscale.tuning.methods.apet_options import Source
from petscale.tuning.methods.candidates import SOURCES
from petscale.tuning.registry import METHODS, make_plan
from petscale.tuning.site import Site
from petscale.tuning.sites import whole_weight
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

SHAPE = lookup("t5-v1_1-small").shape
APET = {"operations": ["add"], "roles": None, "shares": {}, "rank": 8, "alpha": 16, "bottleneck": 24}
IN_PLANS: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen": {},
    "prompt": {"tokens": 100},
    "prompt-50": {"tokens": 50},
    "bitfit": {},
    "bitfit-t5-xxl": {},
    "bitfit-all": {},
    "lora": {"rank": 8, "alpha": 16, "targets": ["self.q", "self.v"]},
    "adapter": {"bottleneck": 24, "placement": "stream", "activation": "gelu_new"},
    "apet-adjacent": APET,
    "apet-discrete": APET,
    "ln-tuning": {"biases": True},
    "lora-qv": {"rank": 8, "alpha": 8, "targets": ["*.q", "*.v"]},
    "lora-all": {"rank": 8, "alpha": 8, "targets": ["*.q", "*.k", "*.v", "*.o", "ffn.*"]},
    "ia3": {"outputs": ["*.k", "*.v"], "inputs": ["ffn.down"]},
    "krona": {"scale": 1, "targets": ["*.q", "*.v"]},
    "lokr": {"rank": 8, "alpha": 8, "targets": ["*.q", "*.v"]},
    "houlsby": {"reduction": 16, "std": 0.02},
    "pfeiffer": {"reduction": 16, "std": 0.02},
    "parallel-adapter": {"reduction": 2, "scale": "learned"},
    "compacter": {"reduction": 32, "n": 4, "rank": 1},
    "compacter-plus": {"reduction": 32, "n": 4, "rank": 1},
    "phm": {"reduction": 32, "n": 4},
    "prefix-flat": {"tokens": 30, "positions": "none", "std": 1},
    "prefix": {"tokens": 30, "positions": "none", "middle": 512},
    "mam": {"tokens": 30, "positions": "none", "middle": 800, "reduction": 2, "scale": "learned"},
    "unipelt": {
        "tokens": 10,
        "positions": "none",
        "middle": 512,
        "rank": 8,
        "targets": ["*.q", "*.v"],
        "reduction": 16,
        "std": 0.02,
        "over": "token",
    },
}
# Options that methods did not have at first.
ADDED: dict[str, dict[str, tuple[Any, Any]]] = {  # with its default and another value
    **{method: {"learns": ("difference", "factor")} for method in ("ia3", "parallel-adapter", "mam")},
    **{method: {"norms": (False, True)} for method in ("houlsby", "pfeiffer", "compacter", "compacter-plus", "phm")},
    **{method: {"norms": (False, True)} for method in ("lora-qv", "lora-all")},
}


class ToyOptions(Options):
    """One option of each kind."""

    biases: bool = Field(True, description="train the biases too")
    count: int = Field(3, ge=2, le=5, description="a number with limits")
    mode: Literal["one", "two"] = Field("one", description="one of a few")
    words: Mapping[str, Names] = Field({}, description="lists by name")


def _norms(offered: Inventory, request: Request[ToyOptions]) -> Iterator[Site]:
    roles = ("norm", "norm.bias") if request.options.biases else ("norm",)
    return (whole_weight(weight) for weight in offered.weights if weight.role in roles)


TOY = Method("toy", 1, "nobody", ("add",), "h", "dense", True, "toy", _norms, ToyOptions)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "METHODS", {**METHODS, "toy": TOY})


@pytest.mark.parametrize("method", METHODS)
def test_plans_hold_the_options_that_they_always_held(method: str) -> None:
    """A plan's digest covers its options, so they stay as they were before options had types, to the last type."""
    plan = make_plan(SHAPE, method, budget=100 if METHODS[method].takes_budget else None)
    assert json.dumps(plan.options, sort_keys=True) == json.dumps(IN_PLANS[method], sort_keys=True)


def test_an_option_that_came_later_stands_in_a_plan_where_it_is_not_its_default() -> None:
    for method, names in ADDED.items():
        for name, (default, other) in names.items():
            assert name not in make_plan(SHAPE, method, options={name: default}).options
            assert make_plan(SHAPE, method, options={name: other}).options[name] == other


def test_numbers_stay_as_they_were_written() -> None:
    """16 and 16.0 are different texts, so different digests; neither may turn into the other."""
    for alpha in (16, 16.0, 0.5):
        assert repr(make_plan(SHAPE, "lora", options={"alpha": alpha}).options["alpha"]) == repr(alpha)
    shares = {"self.q": 2, "self.v": 0.5}
    held = make_plan(SHAPE, "apet-discrete", budget=9, options={"shares": shares}).options["shares"]
    assert {role: repr(share) for role, share in held.items()} == {"self.q": "2", "self.v": "0.5"}


@pytest.mark.parametrize("method", METHODS)
def test_every_option_says_what_it_takes_and_does(method: str) -> None:
    options = METHODS[method].options.described()
    assert set(options) == set(IN_PLANS[method]) | ADDED.get(method, {}).keys()
    for name, option in options.items():
        assert option["description"], name
        assert "plain data" not in option["type"], name


def test_apet_accepts_exactly_the_operations_that_it_has() -> None:
    assert set(get_args(Source)) == set(SOURCES)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("lora", {"rank": 0}, "rank", "expected a positive whole number, found 0"),
    ("lora", {"rank": True}, "rank", "expected a positive whole number, found True"),
    ("lora", {"rank": 8.0}, "rank", "expected a positive whole number, found 8.0"),
    ("lora", {"rank": "8"}, "rank", "expected a positive whole number, found '8'"),
    ("lora", {"rank": None}, "rank", "expected a positive whole number, found None"),
    ("lora", {"rank": date(2026, 1, 1)}, "rank", "expected a positive whole number, found datetime.date(2026, 1, 1)"),
    ("lora", {"alpha": True}, "alpha", "expected a positive number up to 1e+18, found True"),
    ("lora", {"alpha": float("nan")}, "alpha", "expected a positive number up to 1e+18, found nan"),
    ("lora", {"alpha": 10**5000}, "alpha", "expected a positive number up to 1e+18, found a int"),
    ("lora", {"targets": "self.q"}, "targets", "expected a list of one or more names, found 'self.q'"),
    ("lora", {"targets": {"self.q": 9}}, "targets", "expected a list of one or more names, found {'self.q': 9}"),
    ("lora", {"targets": ["self.q", 3]}, "targets.1", "expected text, found 3"),
    ("lora", {"targets": []}, "targets", "expected a list of one or more names, found []"),
    ("lora", {"targets": None}, "targets", "expected a list of one or more names, found None"),
    ("adapter", {"placement": "streem"}, "placement", "expected one of stream, sublayer, found 'streem'"),
    ("apet-discrete", {"roles": "norm"}, "roles", "expected a list of one or more names or null, found 'norm'"),
    ("apet-discrete", {"shares": {"self.q": -1}}, "shares.self.q", "expected a positive number up to 1e+18, found -1"),
    ("apet-discrete", {"operations": {"glue": 1}}, "operations.glue", "add-hidden, concat, plug, found 'glue'"),
    ("apet-discrete", {"operations": ["glue"]}, "operations.0", "add-hidden, concat, plug, found 'glue'"),
    ("toy", {"biases": 1}, "biases", "expected true or false, found 1"),
    ("toy", {"biases": "yes"}, "biases", "expected true or false, found 'yes'"),
    ("toy", {"count": 7}, "count", "expected a whole number of at least 2 and up to 5, found 7"),
    ("toy", {"words": {"a": ["b", 2]}}, "words.a.1", "expected text, found 2"),
]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("method, options, path, problem", WRONG)
def test_a_wrong_option_is_one_line(method: str, options: dict[str, Any], path: str, problem: str) -> None:
    budget = 9 if registry.METHODS[method].takes_budget else None
    with pytest.raises(BadInput) as caught:
        make_plan(SHAPE, method, budget=budget, options=options)
    line = str(caught.value)
    assert line.startswith(f"{method}: option {path}: ")
    assert line.endswith(problem)
    assert "\n" not in line


def test_an_unknown_option_gets_the_nearest_known_one() -> None:
    with pytest.raises(BadInput, match=r"^lora: unknown option 'rnak'; did you mean 'rank'\?$"):
        make_plan(SHAPE, "lora", options={"rnak": 2})
    with pytest.raises(BadInput, match=r"^full: unknown option 'rank'; options: none$"):
        make_plan(SHAPE, "full", options={"rank": 2})


@pytest.mark.usefixtures("registered")
def test_a_boolean_can_be_set_from_the_command_line_and_from_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    """BERT has norm biases, so the two values train different counts; a method from outside is taken like any other."""
    counts = {}
    for value in ("true", "false"):
        assert main(["count", "bert-small", "toy", "--option", f"biases={value}", "--json"]) == 0
        counts[value] = json.loads(capsys.readouterr().out)["trainable"]
    norms = 1 + 2 * 4  # of the embeddings, and two a layer
    assert counts == {"true": norms * 2 * 512, "false": norms * 512}
    study = {
        "name": "toys",
        "ladders": [{"name": "mini-bert", "backbones": ["mini-bert-small"]}],
        "tasks": ["mini-sentiment"],
        "seeds": [1],
        "method_options": {"toy": {"biases": False}},
        "experiments": {"methods": {"methods": ["toy"]}},
    }
    (planned,) = open_grid(parse_study(study, "study.yaml")).cells.values()
    assert planned.cell.options == {"biases": False}  # as given: defaults are no part of a cell's identity


@pytest.mark.usefixtures("registered")
def test_the_command_line_gives_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", "bert-small", "lora", "--option", "rank=true"]) == 2
    assert "lora: option rank: expected a positive whole number, found True\n" in capsys.readouterr().err
    assert main(["count", "bert-small", "toy", "--option", "biases=0"]) == 2
    assert "toy: option biases: expected true or false, found 0\n" in capsys.readouterr().err


def test_types_of_one_option_are_told_apart() -> None:
    """What `petscale methods` says of an option is what its annotation accepts."""

    class Some(Options):
        whole: Whole = Field(1, description="w")
        number: Positive = Field(1, description="p")
        either: Names | bool | None = Field(None, description="e")

    assert {name: option["type"] for name, option in Some.described().items()} == {
        "whole": "a positive whole number",
        "number": "a positive number up to 1e+18",
        "either": "a list of one or more names or true or false or null",
    }
    assert Some.read("m", {"either": ["a"]}).either == ("a",)
    assert Some.read("m", {"either": False}).either is False


def test_methods_prints_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    lora = json.loads(capsys.readouterr().out)["lora"]
    assert lora["options"] == IN_PLANS["lora"]
    assert lora["option_details"]["rank"] == {
        "type": "a positive whole number",
        "default": 8,
        "description": "width of the branch, r in the paper",
    }
    assert main(["methods"]) == 0
    assert "a positive whole number; default 8" in capsys.readouterr().out
