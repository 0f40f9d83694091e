"""Metrics follow the official rules on hand-made cases, and equal scikit-learn, rouge-score and brute force."""

from __future__ import annotations

import itertools
import json
import re
import string
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import accuracy_score

from petscale.scoring.metrics import clean, credit, exact_match, mean, normalise_answer, rouge, token_f1

# The official SQuAD script: lower case, punctuation out, articles out, white space fixed.
NORMAL_FORMS = [
    ("The  Eiffel\tTower!", "eiffel tower"),
    ("a an the", ""),
    ("An apple, a day", "apple day"),
    ("theatre", "theatre"),
    ("U.S.A.", "usa"),
    ("it's", "its"),
    ("1,000", "1000"),
    ("Beyoncé", "beyoncé"),
    ("“quoted”", "“quoted”"),  # string.punctuation has ASCII marks alone
    ("the-end", "theend"),  # punctuation goes before articles
]


@pytest.mark.parametrize(("text", "normal"), NORMAL_FORMS)
def test_squad_normal_form(text: str, normal: str) -> None:
    assert normalise_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "answers", "em", "f1"),
    [
        ("the 14 April", ["14 April 1912", "April 14"], 0, 1.0),  # bag of tokens, best of the answers
        ("14 april 1912", ["14 April 1912"], 1, 1.0),
        ("April", ["14 April 1912"], 0, 0.5),
        ("april april", ["April 1912"], 0, 0.5),  # each token counts as often as it is there
        ("", ["x"], 0, 0.0),
        ("", ["the"], 1, 1.0),  # nothing left on either side
        ("x", ["the"], 0, 0.0),
        ("x", [], 0, 0.0),
    ],
)
def test_squad_scores(prediction: str, answers: list[str], em: float, f1: float) -> None:
    assert exact_match(prediction, answers) == em
    assert token_f1(prediction, answers) == pytest.approx(f1)


def _reference_tokens(text: str) -> list[str]:
    """SQuAD's normal form written another way: character by character, then word by word."""
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return [word for word in re.sub(r"\b(a|an|the)\b", " ", kept).split() if word]


def _reference_f1(prediction: str, answer: str) -> float:
    one, two = sorted(_reference_tokens(prediction)), sorted(_reference_tokens(answer))
    common = sum(min(one.count(word), two.count(word)) for word in set(one))
    if common == 0:
        return float(one == two)
    precision, recall = common / len(one), common / len(two)
    return 2 * precision * recall / (precision + recall)


def test_squad_scores_agree_with_a_second_implementation_on_real_answers(shared: Path) -> None:
    rows = [json.loads(line) for line in (shared / "data/nq_open/validation.jsonl").read_text().splitlines()]
    for row, other in itertools.pairwise(rows):
        answers = row["answer"]
        for prediction in (other["answer"][0], answers[-1], answers[0].split()[0], row["question"]):
            matches = [_reference_tokens(prediction) == _reference_tokens(answer) for answer in answers]
            assert exact_match(prediction, answers) == max(matches)
            best = max(_reference_f1(prediction, answer) for answer in answers)
            assert token_f1(prediction, answers) == pytest.approx(best)


def test_rouge_agrees_with_rouge_score_on_real_summaries(shared: Path) -> None:
    rows = [json.loads(line) for line in (shared / "data/samsum/validation.jsonl").read_text().splitlines()]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for row in rows[:60]:
        prediction = row["dialogue"][:120]
        wanted = scorer.score(row["summary"], prediction)
        assert rouge(prediction, row["summary"]) == {name: score.fmeasure for name, score in wanted.items()}


def test_rouge_of_an_empty_prediction_is_nothing() -> None:
    assert set(rouge("", "a summary").values()) == {0.0}


def test_rouge_by_hand() -> None:
    # Stems: "cats ran" and "cat ran fast": 2 of 2 and 2 of 3 unigrams, 1 of 1 and 1 of 2 bigrams.
    found = rouge("cats ran", "cat ran fast")
    assert found["rouge1"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert found["rouge2"] == pytest.approx(2 * 1 * (1 / 2) / (1 + 1 / 2))
    assert found["rougeL"] == pytest.approx(found["rouge1"])


def test_credit_is_accuracy_where_nothing_ties() -> None:
    rng = np.random.default_rng(0)
    scores, gold = rng.normal(size=(500, 3)), rng.integers(0, 3, 500)
    assert mean(credit(scores, gold)).value == pytest.approx(accuracy_score(gold, scores.argmax(1)))


def test_ties_share_the_credit() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    assert credit(scores, np.array([0, 2, 1])).tolist() == pytest.approx([1 / 2, 0, 1 / 3])


def test_a_constant_model_scores_the_level_of_chance() -> None:
    gold = np.array([0, 1] * 50)
    assert mean(credit(np.zeros((100, 2)), gold)).value == 0.5


def test_values_that_are_no_numbers_earn_nothing() -> None:
    scores = np.array([[np.nan, np.nan], [np.nan, 1.0], [0.0, 1.0]])
    with np.errstate(all="raise"):
        assert credit(scores, np.array([0, 1, 1])).tolist() == [0, 0, 1]


def test_a_class_that_the_head_lacks_is_never_right() -> None:
    """Neither a class above its last nor free text's -1, which numpy would take for its last."""
    scores = np.array([[0.0, 1.0]] * 4)
    assert credit(scores, np.array([2, 3, -1, 1])).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "values", [np.random.default_rng(1).random(400) < 0.7, np.random.default_rng(2).beta(2, 5, 400)]
)
def test_standard_errors_agree_with_a_brute_force_bootstrap(values: np.ndarray) -> None:
    values = values.astype(float)
    rng = np.random.default_rng(3)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(4000)]
    score = mean(values)
    assert score.se == pytest.approx(np.std(means), rel=0.05)
    assert (score.value, score.n) == (pytest.approx(values.mean()), 400)


def test_standard_error_by_hand() -> None:
    """Unbiased: of 0 and 1 the variance is 1/2, of 0, 0, 0, 1, 1 it is 3/10."""
    assert mean([0.0, 1.0]).se == pytest.approx((1 / 2 / 2) ** 0.5)
    assert mean([0.0, 0.0, 0.0, 1.0, 1.0]).se == pytest.approx((3 / 10 / 5) ** 0.5)


def test_means_of_one_and_of_none() -> None:
    assert mean([1.0]).model_dump() == {"value": 1.0, "se": None, "n": 1}
    assert mean([]).model_dump() == {"value": None, "se": None, "n": 0}


def test_short_answers_are_the_first_line() -> None:
    assert clean("  positive \nnegative") == "positive"
    assert clean(" \n ") == ""
