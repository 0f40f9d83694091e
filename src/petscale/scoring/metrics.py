"""Metrics of single examples, and their mean with its standard error. All are in [0, 1]."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from petscale.cells.record import Score
from petscale.scoring.words import AnyScript, is_beyond_latin

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
ROUGE = ("rouge1", "rouge2", "rougeL")


def mean(values: Sequence[float] | NDArray[np.floating]) -> Score:
    """Mean of the scores of single examples; its standard error is sd / sqrt(n) with the unbiased variance.

    With one example there is no standard error, and without examples there is no value.
    """
    n = len(values)
    if n == 0:
        return Score(value=None, se=None, n=0)
    array = np.asarray(values, np.float64)
    se = float(array.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Score(value=float(array.mean()), se=se, n=n)


def clean(text: str) -> str:
    """The short answer in a generated text: its first line, stripped, as in Su et al.'s code."""
    return text.strip().split("\n")[0].strip()


def credit(scores: NDArray[np.floating], gold: NDArray[np.integer]) -> NDArray[np.float64]:
    """Accuracy of the class with the highest score: (n, classes) and (n,) -> (n,).

    Classes that tie for the highest score share the credit, so that equal scores give the accuracy of guessing. A row
    with a value that is not a number gets 0.
    """
    best = scores == scores.max(axis=1, keepdims=True)
    inside = (gold >= 0) & (gold < scores.shape[1])
    hit = best[np.arange(len(gold)), np.where(inside, gold, 0)] & inside
    return np.where(hit, 1.0 / np.maximum(best.sum(axis=1), 1), 0.0)


def normalise_answer(text: str) -> str:
    """SQuAD's normal form: lower case, without punctuation and articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """SQuAD exact match, maximum over the accepted answers."""
    found = normalise_answer(prediction)
    return float(any(found == normalise_answer(answer) for answer in answers))


def _f1(prediction: list[str], answer: list[str]) -> float:
    if not prediction or not answer:  # SQuAD 2.0's rule: an empty text matches only an empty text
        return float(prediction == answer)
    common = sum((Counter(prediction) & Counter(answer)).values())
    return 2 * common / (len(prediction) + len(answer))


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """SQuAD token F1, maximum over the accepted answers."""
    found = normalise_answer(prediction).split()
    return max((_f1(found, normalise_answer(answer).split()) for answer in answers), default=0.0)


@cache
def _rouge_scorer(any_script: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    if any_script:
        return RougeScorer(list(ROUGE), tokenizer=AnyScript())
    return RougeScorer(list(ROUGE), use_stemmer=True)


def rouge(prediction: str, reference: str) -> dict[str, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measure (`rouge-score`).

    Both texts are split into words of a to z and digits, with stemming. If more than half of the reference's letters
    and digits are others, both are split by `petscale.scoring.words.AnyScript`, since the score of a Greek or Chinese
    text against itself would otherwise be 0.
    """
    scorer = _rouge_scorer(is_beyond_latin(reference))
    return {name: value.fmeasure for name, value in scorer.score(reference, prediction).items()}
