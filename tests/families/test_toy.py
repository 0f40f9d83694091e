"""A family from outside src/ can be planned, counted, tokenised, trained, scored and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from petscale import tasks
from petscale.backbones.folder import read_manifest
from petscale.backbones.load import load_model
from petscale.cells.record import read_result
from petscale.cli.main import main
from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.data.tokenize import tokenize
from petscale.errors import BadInput, Exit
from petscale.families.registry import lookup, registered, total_parameters
from petscale.families.shape import BackboneShape
from petscale.fetching.materialise import materialise
from petscale.study.cell import Cell
from petscale.training.run import Job, run_cell
from petscale.training.setup import Inputs
from petscale.tuning.files import load_delta
from petscale.tuning.registry import make_plan
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

from .toy import Toy, write_toy

TOKENIZER = Path(__file__).parents[2] / "ladders" / "mini-bert-small" / "tokenizer.json"
ROWS = {"dev_size": 20, "max_train": 96, "max_test": 20}
STEPS = 5


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    with registered(Toy()):
        yield


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer

    write_toy(tmp_path / "toy", TOKENIZER, Tokenizer.from_file(str(TOKENIZER)).get_vocab_size())
    return tmp_path / "toy"


def _cells(backbone: Path) -> dict[str, Cell]:
    document = {
        "name": "toys",
        "ladders": [{"name": "toys", "backbones": ["bag"]}],
        "folders": {"bag": str(backbone)},
        "tasks": ["mini-sentiment", "mini-qa"],
        "data": {"source": "mini", **ROWS},
        "seeds": [1],
        "recipe": {"steps": STEPS, "evaluate_every": STEPS, "batch_size": 16, "learning_rate": 1e-2},
        "experiments": {
            "methods": {"methods": ["full", "frozen"]},
            "structure": {"groups": ["bitfit"], "structures": ["apet-discrete"]},
        },
    }
    return {planned.cell.method: planned.cell for planned in open_grid(parse_study(document, "toys")).cells.values()}


@pytest.mark.parametrize("method", ["full", "bitfit", "apet-discrete"])
def test_the_whole_way(backbone: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    cells = _cells(backbone)
    assert {cell.task for cell in cells.values()} == {"mini-sentiment"}, "its form takes classification alone"
    task = tasks.lookup("mini-sentiment")
    prepare(task, make_source(task, "mini"), tmp_path / "rows", **ROWS)
    materialise("bag", tmp_path / "bag", folder=backbone)
    tokenize(tmp_path / "rows", task, tmp_path / "bag", lookup("toy"), tmp_path / "tokens", labels="words")
    cell = cells[method]
    inputs = Inputs(tokens=tmp_path / "tokens", backbone=tmp_path / "bag")
    assert run_cell(cell, Job(inputs, tmp_path / "cell", tmp_path / "state")) == Exit.DONE

    record = read_result(tmp_path / "cell" / "result.json")
    shape = BackboneShape.from_json(read_manifest(tmp_path / "bag")["shape"])
    bare = load_model(tmp_path / "bag", "toy", num_labels=2, head_seed=1)
    stored = sum(p.numel() for name, p in bare.named_parameters() if not name.startswith("classifier."))
    assert record.counts.total == total_parameters(shape) == stored
    trainable = {"full": stored, "bitfit": 8, "apet-discrete": 8}[method]
    assert (record.counts.trainable, record.counts.head) == (trainable, 2 * (8 + 1))
    assert record.counts.changed > 0
    assert record.test["accuracy"].n == ROWS["max_test"]

    plan, values = load_delta(tmp_path / "cell" / "delta.safetensors")
    assert sum(value.numel() for value in values.values()) == plan.trainable == trainable
    assert main(["export", str(tmp_path / "cell"), str(tmp_path / "export")]) == Exit.DONE
    # HF PEFT has masked matrices (SHiRA), but neither full tuning nor trained biases.
    assert ("HF PEFT" in capsys.readouterr().out) == (method == "apet-discrete")


def test_what_the_family_has_no_place_for_is_refused_in_one_line(backbone: Path) -> None:
    shape = _shape(backbone)
    with pytest.raises(BadInput, match=r"lora targets.* on this toy backbone; roles: ffn\.down$"):
        make_plan(shape, "lora")
    assert make_plan(shape, "lora", options={"targets": ["ffn.down"], "rank": 2}).trainable == 2 * (8 + 8)


def test_count_needs_no_weights(backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (backbone / "model.safetensors").unlink()
    assert main(["count", str(backbone), "full", "--json"]) == Exit.DONE
    assert f'"total": {total_parameters(_shape(backbone))}' in capsys.readouterr().out


def test_a_batch_is_scored_as_the_model_answers_it(backbone: Path) -> None:
    model = load_model(backbone, "toy", num_labels=2, head_seed=3)
    ids = torch.tensor([[5, 6, 7], [5, 6, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    found = model(ids, mask, torch.zeros_like(ids)).logits
    words = model.words.weight
    mean = torch.stack([words[[5, 6, 7]].mean(0), words[[5, 6]].mean(0)])
    wanted = torch.tanh(mean @ model.layer.weight.T + model.layer.bias) @ model.classifier.weight.T
    torch.testing.assert_close(found, wanted + model.classifier.bias)


def _shape(backbone: Path) -> BackboneShape:
    import json

    return lookup("toy").read_shape(json.loads((backbone / "config.json").read_text()), None)
