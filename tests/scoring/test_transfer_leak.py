"""In zero-shot transfer, test rows that the source was trained on are counted and left out of a score.

On the hub, SST-2 and Rotten Tomatoes are taken from the same snippets, which they write differently.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel

from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.data.tokenize import tokenize
from petscale.data.tokens import load_tokens
from petscale.errors import Exit
from petscale.families.registry import FAMILIES
from petscale.fetching.materialise import materialise
from petscale.tasks import TASKS
from petscale.training.run import Job, run_cell
from petscale.training.setup import Inputs
from petscale.training.transfer import shared_rows, transfer
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

# (as SST-2 has it, as Rotten Tomatoes has it)
SNIPPETS = (
    ("the rock is the 21st century 's new `` conan '' ", 'the rock is the 21st century\'s new " conan "'),
    ("an odd -lrb- and funny -rrb- film . ", "an odd ( and funny ) film ."),
    ("it does n't work", "It doesn't work ."),
)
ALONE = ("a film of its own", "the rock is the 21st century 's new", "it does work", "input : an odd film")
TOKENIZERS = {"t5": "tokenizer-t5", "bert": "tokenizer-bert-uncased"}


def _write(folder: Path, task: str, column: str, **splits: list[str]) -> None:
    (folder / task).mkdir(parents=True, exist_ok=True)
    for split, texts in splits.items():
        rows = [{column: text, "label": index % 2} for index, text in enumerate(texts)]
        (folder / task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """SST-2 trains on the snippets, Rotten Tomatoes is tested on them and on four texts of its own."""
    fill = [f"filler number {index} of the rows" for index in range(12)]
    _write(tmp_path, "sst2", "sentence", train=[*(a for a, _ in SNIPPETS), *fill], validation=["not a row of train"])
    test = [*(b for _, b in SNIPPETS), *ALONE]
    _write(tmp_path, "rotten_tomatoes", "text", train=[f"another {text}" for text in fill], test=test)
    return tmp_path


def _tokens(rows: Path, name: str, family: Any, tokenizer: Path, out: Path) -> Path:
    task = TASKS[name]
    prepared = out.with_name(out.name + "-rows")
    prepare(task, make_source(task, "local", folder=rows, name="rows"), prepared, dev_size=4)
    tokenize(prepared, task, tokenizer, FAMILIES[family], out, labels="unified")
    return out


@pytest.mark.parametrize("family", ["t5", "bert"])
def test_shared_rows_are_found_through_both_tokenizers(shared: Path, rows: Path, tmp_path: Path, family: str) -> None:
    """Shared rows may differ in spacing, quotes, brackets, clitics and case; a part of a row is another row."""
    tokenizer = shared / "tokenizers" / TOKENIZERS[family]
    source, target = (
        load_tokens(_tokens(rows, name, family, tokenizer, tmp_path / name)) for name in ("sst2", "rotten_tomatoes")
    )
    assert shared_rows(source, target, tokenizer).tolist() == [True] * len(SNIPPETS) + [False] * len(ALONE)
    assert not shared_rows(target, source, tokenizer).any()  # SST-2's own test row is not in Rotten Tomatoes' train


def test_the_record_has_both_scores(shared: Path, rows: Path, tmp_path: Path) -> None:
    """The count, and the score of the other rows; unknown, and said so, where the tokens were made anew since."""
    folder = tmp_path / "bert"
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=30522, **sizes)).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((shared / "tokenizers/tokenizer-bert-uncased/tokenizer.json").read_bytes())
    document = {
        "name": "leak",
        "ladders": [{"name": "one", "backbones": ["tiny"]}],
        "folders": {"tiny": str(folder)},
        "tasks": ["sst2"],
        "data": {"source": "local", "folder": str(rows), "name": "rows", "dev_size": 4},
        "seeds": [1],
        "recipe": {"steps": 2, "evaluate_every": 2, "batch_size": 4},
        "experiments": {"methods": {"methods": ["bitfit"]}},
    }
    (planned,) = open_grid(parse_study(document, "leak")).cells.values()
    cell = replace(planned.cell, labels="unified")
    backbone = tmp_path / "backbone"
    materialise("tiny", backbone, folder=folder)
    own = _tokens(rows, "sst2", "bert", backbone, tmp_path / "tokens" / cell.tokens)
    target = _tokens(rows, "rotten_tomatoes", "bert", backbone, tmp_path / "tokens" / "target")
    assert run_cell(cell, Job(Inputs(own, backbone), tmp_path / "cell", tmp_path / "state")) == Exit.DONE

    def found(name: str, trained_on: Path) -> dict[str, Any]:
        transfer(tmp_path / "cell" / "result.json", target, trained_on, backbone, tmp_path / name)
        told: dict[str, Any] = json.loads((tmp_path / name).read_text())
        return told

    told = found("with.json", own)
    assert told["shared_rows"] == len(SNIPPETS)
    whole, rest = told["scores"]["accuracy"], told["scores_without_shared"]["accuracy"]
    assert (whole["n"], rest["n"]) == (len(SNIPPETS) + len(ALONE), len(ALONE))
    seen = round(whole["value"] * whole["n"] - rest["value"] * rest["n"], 6)
    assert seen in np.arange(len(SNIPPETS) + 1)

    without = found("without.json", target)
    assert without["shared_rows"] is None and "scores_without_shared" not in without
    assert without["scores"] == told["scores"]
