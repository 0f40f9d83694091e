"""Writes the files of a finished cell; each is renamed into place when complete, and `result.json` comes last."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from petscale.artefacts.canonical import digest
from petscale.artefacts.files import file_digest, write_atomically
from petscale.artefacts.layout import RECORD
from petscale.cells.published import CURVE, DELTA, SPOOLS, predictions, published
from petscale.cells.record import CellResult, Convergence, Counts, Score, Throughput, write_result
from petscale.data.tokens import TokenSet
from petscale.families.registry import total_parameters
from petscale.scoring.evaluate import Evaluation
from petscale.study.stages import cell_code
from petscale.training.loop import Curve, Journey
from petscale.training.provenance import capture
from petscale.training.setup import Ready
from petscale.tuning.files import HEAD, save_delta


def publish(
    folder: Path,
    ready: Ready,
    journey: Journey,
    evaluations: dict[str, Evaluation],
    *,
    energy_j: float | None,
    startup_s: float,
    wall_s: float,
    peak_memory: int,
    attempts: Sequence[Mapping[str, Any]] = (),
) -> CellResult | None:
    """Write delta, predictions, curve and, last, the record, which contains the digests of all. Returns the record.

    All processes of a cell must call this, since values are gathered; only the leading one writes, and the others
    return None.

    Args:
        folder: the cell's folder below results/cells.
        ready: the cell with its model, tokens and delta.
        journey: the state of training at its end, with the curve.
        evaluations: `dev`, `test` and further test sets at the selected step; empty if the cell diverged. Scores of a
            further test set are recorded with those of the test as `<set>/<metric>`, and its examples are in a
            separate file, `predictions-<set>.parquet`.
        energy_j: joules of all attempts; None if no GPU was sampled.
        startup_s: seconds from the command to the first step of this attempt.
        wall_s: seconds of all attempts.
        peak_memory: bytes, the largest of any attempt.
        attempts: the attempts at the cell, this one last (for the provenance).
    """
    trained, changed = ready.trained(), ready.changed()
    if not ready.team.leads:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    cell = ready.cell
    delta = folder / DELTA
    head = {name: value for name, value in trained.items() if name.startswith(HEAD)}
    save_delta(
        delta,
        ready.delta,
        state={name: value for name, value in trained.items() if name not in head},
        extra_tensors=head,
        metadata={"cell": cell.path, "backbone": cell.backbone},
    )
    write_atomically(folder / CURVE, _curve(journey.curve))
    for split in evaluations.keys() - {"dev"}:
        write_atomically(folder / predictions(split), _parquet(evaluations[split].examples))
    test = evaluations.get("test")
    files = {path.name: file_digest(path) for path in published(folder)}
    result = CellResult(
        cell=cell.path,
        digest=cell.digest,
        status="diverged" if journey.diverged else "done",
        cause=journey.diverged,
        notes=[*_notes(test), *_of_rows(ready.tokens)],
        spec=cell.spec(),
        counts=Counts(
            trainable=ready.plan.trainable,
            effective=ready.plan.effective,
            head=sum(p.numel() for p in ready.head.values()) if cell.head == "trained" else 0,
            stored=sum(value.numel() for value in trained.values()),
            changed=changed,
            total=total_parameters(ready.shape),
            deployed=ready.plan.deployed,
            touched=ready.plan.touched,
            rank=ready.plan.rank,
        ),
        metric=ready.task.metric,
        dev=_scores(evaluations.get("dev"), ready, "dev"),
        test={**_scores(test, ready, "test"), **_further(evaluations)},
        convergence=Convergence(
            best_step=journey.best_step,
            best_dev=journey.best_dev if math.isfinite(journey.best_dev) else 0.0,
            steps=journey.step,
        ),
        throughput=Throughput(
            train_tokens_per_s=journey.tokens / journey.train_s if journey.train_s else 0.0,
            inference_tokens_per_s=test.tokens / test.seconds if test and test.seconds else 0.0,
            startup_s=startup_s,
            train_s=journey.train_s,
            evaluate_s=journey.evaluate_s,
            wall_s=wall_s,
        ),
        peak_memory=peak_memory,
        energy_j=energy_j,
        hashes={
            **ready.hashes,
            "identity": digest(ready.identity, 64),
            "code": cell_code(cell.method, ready.family.name),
            "delta": files[delta.name],
        },
        files=files,
        provenance=capture(ready.device, ready.team.size, attempts),
    )
    write_result(folder / RECORD, result)
    return result


def publish_metrics(state: Path, folder: Path) -> None:
    """Copy the spools to the cell's folder, since the state folder may be cleaned later.

    Files of an earlier run are removed before, its record first, so that a record is never beside files of another run.
    """
    for path in (folder / RECORD, *published(folder)):
        path.unlink(missing_ok=True)
    for name in SPOOLS:
        write_atomically(folder / name, (state / name).read_bytes())


def _scores(evaluation: Evaluation | None, ready: Ready, split: str) -> dict[str, Score]:
    if evaluation is not None:
        return evaluation.scores
    n = len(ready.tokens.split(split))
    return {metric: Score(value=None, se=None, n=n) for metric in ready.task.metrics}


def _further(evaluations: dict[str, Evaluation]) -> dict[str, Score]:
    return {
        f"{split}/{metric}": score
        for split, evaluation in evaluations.items()
        if split not in ("dev", "test")
        for metric, score in evaluation.scores.items()
    }


def _notes(test: Evaluation | None) -> list[str]:
    if test is None:
        return []
    predicted = set(test.examples["prediction"])
    references = {str(reference) for reference in test.examples["reference"]}
    if len(predicted) == 1 and len(references) > 1:
        return [f"constant predictions on test: {next(iter(predicted))!r}"]
    return []


def _of_rows(tokens: TokenSet) -> list[str]:
    """What the rows' manifest tells of them, e.g. a train split of one class, for everybody who reads the scores."""
    told = tokens.manifest.get("told", {})
    return [f"{split} rows: {count} x {what}" for split, counts in told.items() for what, count in counts.items()]


def _curve(rows: list[Curve]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "tokens", "train_loss", "dev", "learning_rate", "seconds"])
    for row in rows:
        loss = "" if row.train_loss is None else repr(row.train_loss)
        writer.writerow([row.step, row.tokens, loss, repr(row.dev), repr(row.learning_rate), f"{row.seconds:.3f}"])
    return text.getvalue()


def _parquet(examples: dict[str, list[Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(examples), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
