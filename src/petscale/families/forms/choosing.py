"""Answers of a model with a classification head: the class with the highest logit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from petscale.data.tokens import Examples
from petscale.scoring import metrics
from petscale.scoring.answers import Answers, Batch


def choose_classes(model: Any, examples: Examples, words: dict[int, str], batches: Iterator[Batch]) -> Answers:
    """The unit with the highest logit for each example; `words` gives the label word of each unit that has one."""
    choices = np.zeros(len(examples), np.int64)
    credit = np.zeros(len(examples))
    finite = True
    for indices, batch in batches:
        logits = model(**batch).logits.float().cpu().numpy()
        choices[indices] = logits.argmax(1)
        credit[indices] = metrics.credit(logits, examples.label[indices])
        finite &= bool(np.isfinite(logits).all())
    texts = [words.get(choice, f"(unit {choice})") for choice in choices.tolist()]
    return Answers(texts, {"accuracy": credit}, 0, finite)
