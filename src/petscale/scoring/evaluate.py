"""Scores a model on the examples of one split."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from petscale.cells.record import Score
from petscale.data.batches import scoring_batches
from petscale.data.decode import Decode
from petscale.data.tokens import Examples
from petscale.parallel.team import ALONE, Team
from petscale.scoring import metrics
from petscale.scoring.answers import Answers, Batch
from petscale.tasks import LabelScheme, Task


class Answerer(Protocol):
    """The part of `petscale.families.family.Family` that scoring uses; scoring may not import families itself."""

    def collate(self, examples: Examples, indices: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """The batch of these examples for the forward pass, padded to the longest of them."""

    def answer(
        self,
        model: Any,
        examples: Examples,
        task: Task,
        labels: LabelScheme,
        decode: Decode | None,
        batches: Iterator[Batch],
    ) -> Answers:
        """The answers of the model to all batches (`petscale.families.family.Family.answer`)."""

    def label_words(self, task: Task, labels: LabelScheme) -> dict[int, str]:
        """The words of the labels by the number that stands for each in answers."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of one split.

    Attributes:
        scores: scores by metric key, fractions with standard errors; the task's main metric is among them. examples:
        columns id, prediction, reference, score (of the main metric) and one for each metric key, in the order
            of the split.
        tokens: number of tokens read and generated, without padding.
        seconds: wall time.
        finite: False if the model gave a value that is not a finite number.
    """

    scores: dict[str, Score]
    examples: dict[str, list[Any]]
    tokens: int
    seconds: float
    finite: bool


def input_batches(
    examples: Examples, family: Answerer, device: str | torch.device, plan: list[NDArray[np.int64]]
) -> Iterator[Batch]:
    """Indices and input tensors (without labels) of planned batches."""
    for indices in plan:
        batch = family.collate(examples, indices)
        del batch["labels"]
        yield indices, {name: tensor.to(device) for name, tensor in batch.items()}


def _merged(answers: Answers, plan: list[NDArray[np.int64]], team: Team) -> Answers:
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
    return Answers(answers.texts, answers.metrics, written, finite)


def evaluate(
    model: Any,
    examples: Examples,
    task: Task,
    *,
    family: Answerer,
    labels: LabelScheme,
    decode: Decode | None = None,
    device: str | torch.device = "cpu",
    tokens_per_batch: int = 8192,
    team: Team = ALONE,
) -> Evaluation:
    """Score `model` on `examples`.

    A family that generates text needs `decode` (ids to text). Batches have examples of similar length and up to
    `tokens_per_batch` tokens with padding. The model's training mode is restored. The members of a team share the
    examples, in parts that may differ in size, and each gets the scores of all.

    Raises:
        ValueError: the family generates text, and `decode` is missing.
        RuntimeError: the team did not answer each example exactly once.
    """
    started = time.perf_counter()
    plan = scoring_batches(examples.lengths, tokens_per_batch, team.rank, team.size)
    batches = input_batches(examples, family, device, plan)
    words = family.label_words(task, labels)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            answers = family.answer(model, examples, task, labels, decode, batches)
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
