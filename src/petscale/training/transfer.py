"""Zero-shot transfer: the delta and head of a source cell on another task's test rows (Su et al. appendix E)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from petscale import tasks as task_registry
from petscale.data.tokens import load_tokens
from petscale.errors import BadInput
from petscale.record import read_result, write_atomically
from petscale.study.cell import Cell
from petscale.training.publish import sha256
from petscale.training.setup import HEAD, Inputs, prepare_cell
from petscale.tuning.files import load_delta, load_extra

TRANSFER_VERSION = 1


def transfer(source: Path, tokens: Path, backbone: Path, out: Path) -> None:
    """Score a source cell on a target task and write the scores as JSON.

    A metric that the source cannot earn (a class head has no words to generate, a generator of class digits no
    summaries) is still scored where the model can run at all; the analysis marks such cells as undefined.

    Raises:
        BadInput: the source diverged, its delta is missing or was changed since, or inputs do not fit each other.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    record = read_result(source)
    target = load_tokens(tokens)
    task = task_registry.lookup(target.manifest["task"])
    document = {"version": TRANSFER_VERSION, "source": record.cell, "target": task.name, "metric": task.metric}
    if record.status != "done":
        document |= {"status": record.status, "scores": {}}
    else:
        delta = source.parent / "delta.safetensors"
        if not delta.exists() or sha256(delta) != record.hashes["delta"]:
            raise BadInput(f"{delta}: missing or not the file that {source.name} names; rerun the source cell")
        tensors = {**load_delta(delta)[1], **load_extra(delta)}
        cell = Cell.from_spec(record.spec)
        ready = prepare_cell(cell, Inputs(tokens, backbone), task=task, classes=_classes(tensors))
        ready.load_trained(tensors)
        evaluation = ready.evaluate("test")
        scores = {name: score.model_dump() for name, score in evaluation.scores.items()}
        document |= {"status": "done", "scores": scores}
    write_atomically(out, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _classes(tensors: dict[str, torch.Tensor]) -> int | None:
    """Classes of the source's head; None where the family has none."""
    bias = tensors.get(HEAD + "bias")
    return None if bias is None else len(bias)
