"""The mini tasks have disjoint splits, balanced labels, and only words that the tokenizers know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from petscale import tasks as registry
from petscale.mini.language import LEXICONS, RELATIONS, SPLITS, Split, world
from petscale.mini.tasks import SIZES, TASKS, VERSIONS, Row, rows
from petscale.mini.words import BAD, GOOD, KINDS, vocabulary

LABELLED = ("mini-sentiment", "mini-opinion", "mini-inference", "mini-paraphrase", "mini-boolq")
TEMPLATE_WORDS = (
    "input : output sentence 1 2 premise hypothesis question summarize [sep] 0 positive negative entailment "
    "not_entailment equivalent not_equivalent yes no"
).split()


def text_of(row: Row) -> str:
    parts = [value if isinstance(value, list) else [value] for name, value in row.items() if name != "label"]
    return " ".join(text for part in parts for text in part)


def test_rows_are_the_same_on_every_machine() -> None:
    """Another process with another order of hashes: rows must depend on the task's name and version alone."""
    program = (
        "import json\nfrom petscale.mini.tasks import TASKS, rows\nprint(json.dumps([rows(t, 'test') for t in TASKS]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == [rows(task, "test") for task in TASKS]


def test_the_version_of_a_task_is_that_of_its_rows() -> None:
    """A cell's identity has the task's version: if only that of the rows rose, new rows would pass for the old ones."""
    assert {name: registry.TASKS[name].version for name in TASKS} == VERSIONS


@pytest.mark.parametrize("task", TASKS)
def test_no_row_occurs_twice_in_or_across_splits(task: str) -> None:
    texts = [text_of(row) for split in SPLITS for row in rows(task, split)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_rows_use_no_word_that_another_split_has_for_itself(task: str, split: Split) -> None:
    """People, adjectives, nouns and verbs: dev and test must not be answered with words that tuning has met."""
    used = {word for row in rows(task, split) for word in text_of(row).split()}
    for other in set(SPLITS) - {split}:
        words = LEXICONS[other]
        assert not used & set(words.people)
        assert not used & {word for side in words.polar.values() for word in side}
        if task in ("mini-inference", "mini-boolq"):
            assert not used & {word for nouns in words.kinds.values() for word in nouns}
            assert not used & {word for pair in words.acts for word in pair}


@pytest.mark.parametrize("split", SPLITS)
def test_sizes_are_those_that_costs_are_estimated_with(split: Split) -> None:
    assert {len(rows(task, split)) for task in TASKS if task != "mini-qa"} == {SIZES[split]}
    assert len(rows("mini-qa", split)) == 6 * len(LEXICONS[split].people)


@pytest.mark.parametrize("task", LABELLED)
@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_balanced(task: str, split: Split) -> None:
    count = Counter(row["label"] for row in rows(task, split))
    assert count[0] == count[1]


@pytest.mark.parametrize("task", ["mini-inference", "mini-paraphrase", "mini-boolq"])
def test_the_second_sentence_alone_tells_nothing_of_the_label(task: str) -> None:
    """The words of the hypothesis are drawn alike for both labels (a guard against annotation artefacts)."""
    column = {"mini-inference": "hypothesis", "mini-paraphrase": "sentence2", "mini-boolq": "question"}[task]
    data = rows(task, "train")
    count = Counter((word, row["label"]) for row in data for word in row[column].split())
    for word in {word for word, _ in count}:
        total = count[word, 0] + count[word, 1]
        assert abs(count[word, 0] - total / 2) <= 4 * (total / 4) ** 0.5


def test_a_paraphrase_shares_no_adjective_with_its_first_sentence() -> None:
    """Otherwise the overlap of words, which any backbone can count, would reveal the label."""
    polar = {*GOOD, *BAD}
    for row in rows("mini-paraphrase", "test"):
        assert not polar & set(row["sentence1"].split()) & set(row["sentence2"].split())


@pytest.mark.parametrize("row_label", [0, 1])
def test_equivalent_sentences_are_of_one_polarity(row_label: int) -> None:
    def good(sentence: str) -> bool:
        words = set(sentence.split())
        return bool(words & set(GOOD)) != bool(words & {"not", "never", "no"})

    found = [row for row in rows("mini-paraphrase", "train") if row["label"] == row_label]
    assert all((good(row["sentence1"]) == good(row["sentence2"])) == bool(row_label) for row in found)


def test_a_question_is_answered_by_the_kind_of_the_passage_s_noun() -> None:
    kinds = {noun: kind for kind, nouns in KINDS.items() for noun in nouns}
    for row in rows("mini-boolq", "dev"):
        noun, asked = row["passage"].split()[-2], row["question"].split()[-2]
        assert (kinds[noun] == asked) == bool(row["label"])


def test_answers_are_facts_of_the_world() -> None:
    facts = world()
    for split in SPLITS:
        for row in rows("mini-qa", split):
            words = row["question"].split()
            person = next(word for word in words if word in facts)
            relation = next(
                name for name in RELATIONS if row["question"] in [q.format(n=person) for q in RELATIONS[name].questions]
            )
            assert row["answer"] == [facts[person][relation]]


def test_templates_labels_and_rows_use_known_words_only() -> None:
    known = set(vocabulary())
    assert set(TEMPLATE_WORDS) <= known
    texts = [text_of(row) for task in TASKS for split in SPLITS for row in rows(task, split)]
    used = {word for text in texts for word in text.split()}
    assert used <= known


@pytest.mark.parametrize(
    ("task", "split", "named"),
    [("mini-poetry", "train", "mini-poetry"), ("mini-qa", "validation", "validation")],
)
def test_what_does_not_exist_is_named(task: str, split: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        rows(task, split)  # type: ignore[arg-type]
