"""All steps on real rows: prepare, tokenise, two epochs of a tiny random model, dev and test scores, record.

It runs every task of the papers with the real vocabularies. The backbones have random weights, so the scores have no
meaning; the test only checks that all steps work.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5ForConditionalGeneration

from petscale.cells.record import read_result
from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.data.tokenize import tokenize
from petscale.errors import Exit
from petscale.families.registry import FAMILIES
from petscale.fetching.materialise import materialise
from petscale.study.cell import Cell
from petscale.tasks import TASKS
from petscale.training.run import Job, run_cell
from petscale.training.setup import Inputs
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

PUBLISHED = [task.name for task in TASKS.values() if task.source == "hub"]
ROWS = {"dev_size": 6, "max_train": 16, "max_test": 8}
WAYS = [("t5", name) for name in PUBLISHED] + [("bert", name) for name in PUBLISHED if TASKS[name].has_labels]


def _tiny_t5() -> Any:
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=32128,
            d_model=8,
            d_kv=4,
            d_ff=16,
            num_layers=1,
            num_decoder_layers=1,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            decoder_start_token_id=0,
            tie_word_embeddings=False,
        )
    )


def _tiny_bert() -> Any:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertModel(BertConfig(vocab_size=30522, **sizes))


@pytest.fixture(scope="module")
def backbones(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny backbones with the real tokenizers, as a user would hand them in."""
    folders = {}
    for family, tokenizer in {"t5": "tokenizer-t5", "bert": "tokenizer-bert-uncased"}.items():
        folder = tmp_path_factory.mktemp(family)
        torch.manual_seed(0)
        model = _tiny_t5() if family == "t5" else _tiny_bert()
        if family == "t5":
            head = torch.randn(32128, 8)
            head[1] *= 20  # end of sequence, so that summaries end before their 128 tokens
            model.lm_head.weight = torch.nn.Parameter(head)
        model.save_pretrained(folder)
        name = "tokenizer.json"
        (folder / name).write_bytes((shared / "tokenizers" / tokenizer / name).read_bytes())
        folders[family] = folder
    return folders


def _cell(family: str, task: str, backbones: dict[str, Path], rows: Path) -> Cell:
    document = {
        "name": "whole-way",
        "ladders": [{"name": family, "backbones": ["tiny"]}],
        "folders": {"tiny": str(backbones[family])},
        "tasks": [task],
        "data": {"source": "local", "folder": str(rows), "name": "slices", **ROWS},
        "seeds": [1],
        "recipe": {"steps": 8, "evaluate_every": 8, "batch_size": 4},
        "experiments": {"methods": {"methods": ["full"]}},
    }
    grid = open_grid(parse_study(document, "whole-way"))
    (planned,) = [planned for planned in grid.cells.values() if planned.cell.method == "full"]
    return planned.cell


@pytest.mark.parametrize(("family", "name"), WAYS)
def test_two_epochs_from_rows_to_record(
    family: Any, name: str, backbones: dict[str, Path], shared: Path, tmp_path: Path
) -> None:
    task = TASKS[name]
    folder = _with_mismatched(shared / "data", tmp_path / "data") if name == "mnli" else shared / "data"
    cell = _cell(family, name, backbones, folder)
    source = make_source(task, "local", folder=folder, name="slices")
    prepare(task, source, tmp_path / "rows", **ROWS)
    materialise("tiny", tmp_path / "backbone", folder=backbones[family])
    tokenize(tmp_path / "rows", task, tmp_path / "backbone", FAMILIES[family], tmp_path / "tokens", labels="words")

    inputs = Inputs(tokens=tmp_path / "tokens", backbone=tmp_path / "backbone")
    assert run_cell(cell, Job(inputs, tmp_path / "cell", tmp_path / "state")) == Exit.DONE

    record = read_result(tmp_path / "cell" / "result.json")
    assert record.status == "done"
    assert record.metric == task.metric
    wanted = {"accuracy"} if family == "bert" else set(task.metrics)
    further = {f"mismatched/{metric}" for metric in wanted} if name == "mnli" else set()
    assert set(record.dev) == wanted
    assert set(record.test) == wanted | further
    for scores, size in ((record.dev, ROWS["dev_size"]), (record.test, ROWS["max_test"])):
        for score in scores.values():
            assert score.n == size
            assert score.value is not None
            assert 0 <= score.value <= 1
            assert score.se is not None
    assert record.throughput.inference_tokens_per_s > 0
    # Each metric's own scores are kept, of every test set: a mean can be walked back to its examples.
    for split, file in (("", "predictions"), *((("mismatched/", "predictions-mismatched"),) if further else ())):
        predictions = pyarrow.parquet.read_table(tmp_path / "cell" / f"{file}.parquet").to_pydict()
        assert {"id", "prediction", "reference", "score"} | wanted == set(predictions)
        assert predictions["score"] == predictions[task.metric]
        for metric in wanted:
            assert sum(predictions[metric]) / ROWS["max_test"] == pytest.approx(record.test[split + metric].value)


def _with_mismatched(rows: Path, folder: Path) -> Path:
    """A folder of MNLI's rows with a further test set, as the hub has one."""
    (folder / "mnli").mkdir(parents=True)
    for path in (rows / "mnli").glob("*.jsonl"):
        (folder / "mnli" / path.name).write_bytes(path.read_bytes())
    lines = (rows / "mnli" / "validation.jsonl").read_text().splitlines()
    changed = [{**row, "premise": f"So {row['premise']}"} for row in map(json.loads, lines)]
    (folder / "mnli" / "validation_mismatched.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    return folder
