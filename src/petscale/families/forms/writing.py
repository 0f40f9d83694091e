"""Answers of a model that generates text: a label word, an answer to a question, or a summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from petscale.data.decode import Decode
from petscale.data.tokens import Examples
from petscale.scoring import generate, metrics
from petscale.scoring.answers import Answers, Batch
from petscale.tasks import Task


def write_labels(model: Any, examples: Examples, decode: Decode, batches: Iterator[Batch]) -> Answers:
    """The text that the model generates, and the label that it finds most probable."""
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
    # Labels are compared in the form that the tokenizer decodes, because a generated answer is decoded too.
    labels = [metrics.clean(decode(tokens)) for tokens in examples.labels.tokens]
    right = [text == labels[label] for text, label in zip(texts, examples.label.tolist(), strict=True)]
    return Answers(texts, {"accuracy": np.array(right, np.float64), "rank_accuracy": rank}, written, finite)


def write_texts(model: Any, examples: Examples, task: Task, decode: Decode, batches: Iterator[Batch]) -> Answers:
    """The free text that the model generates: answers or summaries."""
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
    return Answers(texts, scores, written, finite)
