"""Zero-shot transfer: scores the delta and head of a source cell on another task's test rows (Su et al. appendix E)."""

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
from petscale.study.stages import version
from petscale.training.setup import Inputs, prepare_cell
from petscale.tuning.files import load_delta, load_extra

_BRACKETS = re.compile(r"-\s*[lr][rcs]b\s*-")  # how SST-2 writes ( ) { } [ ], after the tokenizer too
_SLICE = 1_000  # rows decoded at once


def transfer(source: Path, tokens: Path, own: Path, backbone: Path, out: Path) -> None:
    """Score a source cell on a target task and write the scores as JSON.

    A metric without meaning for the source (a classification head generates no words, and a model trained on class
    digits writes no summaries) is still scored if the model can run; the analysis marks such transfers as undefined.

    `shared_rows` is the number of test rows whose input is also among the source's train or dev rows. If there are such
    rows, `scores_without_shared` has the scores of the other rows. Rows are compared only between tasks of the same
    kind, and only if `own` has the tokens that the source was trained on; otherwise `shared_rows` is null.

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
        "version": version("transfer"),
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
        ready = prepare_cell(cell, Inputs(tokens, backbone))
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
    """`shared_rows`; None if the tasks are of two kinds, or if the source was not trained on `own`."""
    kinds = {task_registry.lookup(name).kind for name in (cell.task, target.manifest["task"])}
    if len(kinds) > 1:
        return None
    source = load_tokens(own)
    return shared_rows(source, target, backbone) if digest(source.manifest, 64) == trained_on else None


def shared_rows(source: TokenSet, target: TokenSet, backbone: Path) -> NDArray[np.bool_]:
    """Which test rows of the target have an input that was used to train or select the source, (test rows,).

    Only letters and digits of inputs are compared, without case, because SST-2 and Rotten Tomatoes contain the same
    snippets but write quotes, brackets and clitics differently. Text beyond a task's maximum length is not compared.
    Parts of a row are not compared either: a phrase of SST-2 counts only if it is the whole input of a row.

    Args:
        source: tokens of the task that was trained on.
        target: tokens of the other task, made by the same tokenizer.
        backbone: folder with that tokenizer.
    """
    tokenizer = load_tokenizer(backbone)
    seen = {text for split in ("train", "dev") for text in _inputs(source, split, tokenizer)}
    return np.array([bool(text) and text in seen for text in _inputs(target, "test", tokenizer)], np.bool_)


def _inputs(tokens: TokenSet, split: str, tokenizer: Any) -> Iterator[str]:
    """Inputs of a split, reduced to letters and digits, without the words that the task's template adds."""
    task, rows = task_registry.lookup(tokens.manifest["task"]), tokens.split(split).source
    head, tail = map(_letters, lookup(tokens.family).affixes(task))
    for start in range(0, len(rows), _SLICE):
        some = [rows[index].tolist() for index in range(start, min(start + _SLICE, len(rows)))]
        for text in tokenizer.decode_batch(some, skip_special_tokens=True):
            yield _letters(text).removeprefix(head).removesuffix(tail)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, _BRACKETS.sub(" ", text.casefold())))
