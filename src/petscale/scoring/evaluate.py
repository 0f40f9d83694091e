"""Score a model on the examples of one split."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from petscale.cells.record import Score
from petscale.data.batches import collate, scoring_batches
from petscale.data.decode import Decode
from petscale.data.tokens import Examples, Family
from petscale.parallel.team import ALONE, Team
from petscale.scoring import generate, metrics
from petscale.tasks import LabelScheme, Task


@dataclass(frozen=True)
class Evaluation:
    """Scores of one split.

    Attributes:
        scores: by metric key, fractions with standard errors; the task's main metric is among them.
        examples: columns id, prediction, reference, score (of the main metric) and one a metric key, in the order of
            the split.
        tokens: real tokens read and written, padding not counted.
        seconds: wall time.
        finite: False where the model gave a value that is no finite number.
    """

    scores: dict[str, Score]
    examples: dict[str, list[Any]]
    tokens: int
    seconds: float
    finite: bool


@dataclass
class _Answers:
    """What the model says about each example, in the order of the split.

    `metrics` are scores of single examples, (n,) for each key. Examples of other processes are blank until `_merged`.
    """

    texts: list[str]
    metrics: dict[str, NDArray[np.float64]]
    written: int
    finite: bool


_Batch = tuple[NDArray[np.int64], dict[str, torch.Tensor]]


def _batches(
    examples: Examples, family: Family, device: str | torch.device, plan: list[NDArray[np.int64]]
) -> Iterator[_Batch]:
    """Indices and input tensors (without labels) of planned batches."""
    for indices in plan:
        batch = collate(examples, indices, family)
        del batch["labels"]
        yield indices, {name: tensor.to(device) for name, tensor in batch.items()}


def _choose_class(model: Any, examples: Examples, words: dict[int, str], batches: Iterator[_Batch]) -> _Answers:
    """BERT: the head's highest unit; `words` names its units."""
    choices = np.zeros(len(examples), np.int64)
    credit = np.zeros(len(examples))
    finite = True
    for indices, batch in batches:
        logits = model(**batch).logits.float().cpu().numpy()
        choices[indices] = logits.argmax(1)
        credit[indices] = metrics.credit(logits, examples.label[indices])
        finite &= bool(np.isfinite(logits).all())
    texts = [words.get(choice, f"(unit {choice})") for choice in choices.tolist()]
    return _Answers(texts, {"accuracy": credit}, 0, finite)


def _write_label(model: Any, examples: Examples, decode: Decode, batches: Iterator[_Batch]) -> _Answers:
    """T5 on labels: what it writes, and which label it ranks highest."""
    texts = [""] * len(examples)
    rank = np.zeros(len(examples))
    written = 0
    finite = True
    for indices, batch in batches:
        scores, sequences = generate.score_labels(model, **batch, labels=examples.labels.tokens, end=examples.end)
        found = scores.cpu().numpy()
        rank[indices] = metrics.credit(found, examples.label[indices])
        finite &= bool(np.isfinite(found).all())
        for index, sequence in zip(indices.tolist(), sequences, strict=True):
            texts[index] = metrics.clean(decode(sequence))
            written += len(sequence)
    # A label as the tokenizer gives it back: the most that a right answer can look like.
    labels = [metrics.clean(decode(tokens)) for tokens in examples.labels.tokens]
    right = [text == labels[label] for text, label in zip(texts, examples.label.tolist(), strict=True)]
    return _Answers(texts, {"accuracy": np.array(right, np.float64), "rank_accuracy": rank}, written, finite)


def _write_text(model: Any, examples: Examples, task: Task, decode: Decode, batches: Iterator[_Batch]) -> _Answers:
    """T5 on free text: answers or summaries."""
    texts = [""] * len(examples)
    rows: list[int] = []
    written = 0
    finite = True
    for indices, batch in batches:
        opening, sequences = generate.greedy(model, **batch, end=examples.end, length=examples.target_length)
        finite &= bool(torch.isfinite(opening).all())
        for index, sequence in zip(indices.tolist(), sequences, strict=True):
            text = decode(sequence).strip()
            texts[index] = metrics.clean(text) if task.kind == "qa" else text
            written += len(sequence)
        rows += indices.tolist()
    scores = {name: np.zeros(len(examples)) for name in task.metrics}
    for index in rows:
        text, references = texts[index], examples.references(index)
        if task.kind == "qa":
            found = {
                "em": metrics.exact_match(text, references),
                "f1": metrics.token_f1(text, references),
            }
        else:
            found = metrics.rouge(text, references[0])
        for name, value in found.items():
            scores[name][index] = value
    return _Answers(texts, scores, written, finite)


def _merged(answers: _Answers, plan: list[NDArray[np.int64]], team: Team) -> _Answers:
    """The answers of all processes, in every process.

    Raises:
        RuntimeError: an example was answered twice, or never.
    """
    if team.size == 1:
        return answers
    rows = np.concatenate([np.zeros(0, np.int64), *plan])
    mine = ([answers.texts[row] for row in rows], {name: values[rows] for name, values in answers.metrics.items()})
    shares = team.gather((rows, *mine, answers.written, answers.finite))
    if not np.array_equal(np.sort(np.concatenate([share[0] for share in shares])), np.arange(len(answers.texts))):
        raise RuntimeError("the processes did not answer each example once")
    for places, texts, values, _, _ in shares:
        for place, text in zip(places.tolist(), texts, strict=True):
            answers.texts[place] = text
        for name, found in values.items():
            answers.metrics[name][places] = found
    written, finite = sum(share[3] for share in shares), all(share[4] for share in shares)
    return _Answers(answers.texts, answers.metrics, written, finite)


def evaluate(
    model: Any,
    examples: Examples,
    task: Task,
    *,
    family: Family,
    labels: LabelScheme,
    decode: Decode | None = None,
    device: str | torch.device = "cpu",
    tokens_per_batch: int = 8192,
    team: Team = ALONE,
) -> Evaluation:
    """Scores of `model` on `examples`.

    T5 needs `decode` (ids to text). Batches hold examples of like length, `tokens_per_batch` tokens with
    padding. The model's training mode is put back as it was. The members of a team share the examples, whose number
    need not divide, and each gets the scores of all.

    Raises:
        ValueError: T5 without `decode`.
        RuntimeError: the team did not answer each example exactly once.
    """
    started = time.perf_counter()
    plan = scoring_batches(examples.lengths, tokens_per_batch, team.rank, team.size)
    batches = _batches(examples, family, device, plan)
    ids = task.classes(labels) if family == "bert" else range(len(task.words(labels)))
    words = dict(zip(ids, task.words(labels), strict=True))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            if family == "bert":
                answers = _choose_class(model, examples, words, batches)
            elif decode is None:
                raise ValueError("T5 is scored on text: `decode` is needed")
            elif task.has_labels:
                answers = _write_label(model, examples, decode, batches)
            else:
                answers = _write_text(model, examples, task, decode, batches)
    finally:
        model.train(training)
    answers = _merged(answers, plan, team)
    references = (
        [words[label] for label in examples.label.tolist()]
        if task.has_labels
        else [" | ".join(examples.references(index)) for index in range(len(examples))]
    )
    return Evaluation(
        scores={name: metrics.mean(values) for name, values in answers.metrics.items()},
        examples={
            "id": examples.ids,
            "prediction": answers.texts,
            "reference": references,
            "score": answers.metrics[task.metric].tolist(),
            **{name: values.tolist() for name, values in answers.metrics.items()},
        },
        tokens=int(examples.lengths.sum()) + answers.written,
        seconds=time.perf_counter() - started,
        finite=answers.finite,
    )
