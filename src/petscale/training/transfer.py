"""Zero-shot transfer: the delta and head of a source cell on another task's test rows (Su et al. appendix E)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from petscale import tasks as task_registry
from petscale.artefacts.canonical import digest
from petscale.artefacts.files import file_digest, write_atomically
from petscale.cells.published import DELTA
from petscale.cells.record import read_result
from petscale.data.decode import load_tokenizer
from petscale.data.tokens import TokenSet, load_tokens
from petscale.errors import BadInput
from petscale.families.registry import lookup
from petscale.scoring import metrics
from petscale.study.cell import Cell
from petscale.training.setup import Inputs, prepare_cell
from petscale.tuning.files import HEAD, load_delta, load_extra

TRANSFER_VERSION = 2
_BRACKETS = re.compile(r"-\s*[lr][rcs]b\s*-")  # how SST-2 writes ( ) { } [ ], after the tokenizer too
_SLICE = 1_000  # rows decoded at once


def transfer(source: Path, tokens: Path, own: Path, backbone: Path, out: Path) -> None:
    """Score a source cell on a target task and write the scores as JSON.

    A metric that the source cannot earn (a class head has no words to generate, a generator of class digits no
    summaries) is still scored where the model can run at all; the analysis marks such cells as undefined.

    `shared_rows` is the number of test rows whose input stands in the source's train or dev rows, and
    `scores_without_shared` has the scores of the others where there are such rows. Only tasks of one kind are
    compared, and only where `own` is what the source trained on; else `shared_rows` is null.

    Args:
        source: `result.json` of the source cell.
        tokens: folder of the target's tokens.
        own: folder of the source's tokens.
        backbone: folder of the backbone of both.
        out: file to write.

    Raises:
        BadInput: the source's delta is missing or was changed since, or inputs do not fit each other.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    record = read_result(source)
    target = load_tokens(tokens)
    task = task_registry.lookup(target.manifest["task"])
    document: dict[str, Any] = {
        "version": TRANSFER_VERSION,
        "source": record.cell,
        "target": task.name,
        "metric": task.metric,
    }
    if record.status != "done":
        document |= {"status": record.status, "scores": {}}
    else:
        delta = source.parent / DELTA
        if not delta.exists() or file_digest(delta) != record.hashes["delta"]:
            raise BadInput(f"{delta}: missing or not the file that {source.name} names; rerun the source cell")
        tensors = {**load_delta(delta)[1], **load_extra(delta)}
        cell = Cell.from_spec(record.spec)
        ready = prepare_cell(cell, Inputs(tokens, backbone), task=task, classes=_classes(tensors))
        ready.load_trained(tensors)
        evaluation = ready.evaluate("test")
        scores = {name: score.model_dump() for name, score in evaluation.scores.items()}
        document |= {"status": "done", "scores": scores, "shared_rows": None}
        shared = _shared_with(cell, own, record.hashes["tokens"], target, backbone)
        if shared is not None:
            document["shared_rows"] = int(shared.sum())
            if shared.any():
                document["scores_without_shared"] = {
                    name: metrics.mean(np.array(evaluation.examples[name])[~shared]).model_dump() for name in scores
                }
    write_atomically(out, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _shared_with(cell: Cell, own: Path, trained_on: str, target: TokenSet, backbone: Path) -> NDArray[np.bool_] | None:
    """`shared_rows`; None where the tasks are of two kinds, or `own` is not what the source trained on."""
    kinds = {task_registry.lookup(name).kind for name in (cell.task, target.manifest["task"])}
    if len(kinds) > 1:
        return None
    source = load_tokens(own)
    return shared_rows(source, target, backbone) if digest(source.manifest, 64) == trained_on else None


def shared_rows(source: TokenSet, target: TokenSet, backbone: Path) -> NDArray[np.bool_]:
    """Which test rows of the target have an input that the source trained or was selected on, (test rows,).

    Inputs are compared by their letters and digits alone, without case: SST-2 and Rotten Tomatoes hold the same
    snippets, but write quotes, brackets and clitics differently. What a task's maximum length cut off is not compared,
    and neither are parts of a row: SST-2's phrases count where they are the whole input.

    Args:
        source, target: tokens of the two tasks, made by one tokenizer.
        backbone: folder with that tokenizer.
    """
    tokenizer = load_tokenizer(backbone)
    seen = {text for split in ("train", "dev") for text in _inputs(source, split, tokenizer)}
    return np.array([bool(text) and text in seen for text in _inputs(target, "test", tokenizer)], np.bool_)


def _inputs(tokens: TokenSet, split: str, tokenizer: Any) -> Iterator[str]:
    """Inputs of a split as letters and digits, without the words that the task's template puts around them."""
    task, rows = task_registry.lookup(tokens.manifest["task"]), tokens.split(split).source
    head, tail = map(_letters, lookup(tokens.family).affixes(task))
    for start in range(0, len(rows), _SLICE):
        some = [rows[index].tolist() for index in range(start, min(start + _SLICE, len(rows)))]
        for text in tokenizer.decode_batch(some, skip_special_tokens=True):
            yield _letters(text).removeprefix(head).removesuffix(tail)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, _BRACKETS.sub(" ", text.casefold())))


def _classes(tensors: dict[str, torch.Tensor]) -> int | None:
    """Classes of the source's head; None where the family has none."""
    bias = tensors.get(HEAD + "bias")
    return None if bias is None else len(bias)
