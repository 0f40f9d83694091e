"""Every task entry agrees with the papers' code and appendix B.3, written out here by hand."""

from __future__ import annotations

from typing import Any

import pytest

from petscale.errors import BadInput
from petscale.tasks import TASKS, Task

# task: first row's columns -> the T5 source, whole
SOURCES = {
    "sst2": ({"sentence": "S"}, "Input: sentence: S Output: "),
    "imdb": ({"text": "S"}, "Input: S Output: "),
    "rotten_tomatoes": ({"text": "S"}, "Input: S Output: "),
    "mnli": ({"premise": "P", "hypothesis": "H"}, "Input: premise: P [SEP] hypothesis: H Output: "),
    "qnli": ({"question": "Q", "sentence": "S"}, "Input: question: Q [SEP] sentence: S Output: "),
    "rte": ({"sentence1": "A", "sentence2": "B"}, "Input: sentence 1: A [SEP] sentence 2: B Output: "),
    "mrpc": ({"sentence1": "A", "sentence2": "B"}, "Input: sentence 1: A [SEP] sentence 2: B Output: "),
    "qqp": ({"question1": "A", "question2": "B"}, "Input: question 1: A [SEP] question 2: B Output: "),
    "nq_open": ({"question": "Q"}, "Input: Q Output: "),
    "samsum": ({"dialogue": "D"}, "Input: summarize: D Output: "),
    "multi_news": ({"document": "D"}, "Input: summarize: D Output: "),
    "boolq": ({"question": "Q", "passage": "P"}, "boolq passage: P question: Q"),
    "copa": (
        {"premise": "P", "choice1": "A", "choice2": "B", "question": "cause"},
        "copa choice1: A choice2: B premise: P question: cause",
    ),
    "cnn_dailymail": ({"article": "A"}, "summarize: A"),
}

# task: words by label id of the hub, and the digits of appendix E
LABELS = {
    "sst2": (("negative", "positive"), ("0", "1")),
    "imdb": (("negative", "positive"), ("0", "1")),
    "rotten_tomatoes": (("negative", "positive"), ("0", "1")),
    "mnli": (("entailment", "neutral", "contradiction"), ("1", "2", "0")),
    "qnli": (("entailment", "not_entailment"), ("1", "0")),
    "rte": (("entailment", "not_entailment"), ("1", "0")),
    "mrpc": (("not_equivalent", "equivalent"), ("0", "1")),
    "qqp": (("not_duplicate", "duplicate"), ("0", "1")),
    "boolq": (("false", "true"), ("0", "1")),
    "copa": (("choice1", "choice2"), ("0", "1")),
}

# task: source tokens, and for free text target tokens (B.3; Lialin et al. 2.2: 512 in, 128 out)
LENGTHS = {
    **dict.fromkeys(["sst2", "imdb", "rotten_tomatoes"], (128, None)),
    **dict.fromkeys(["mnli", "qnli", "rte", "mrpc", "qqp"], (256, None)),
    **dict.fromkeys(["boolq", "copa"], (512, None)),
    "nq_open": (256, 32),
    "samsum": (256, 128),
    "multi_news": (256, 64),
    "cnn_dailymail": (512, 128),
}

# Design section 5: the official validation, except where the test is labelled.
LABELLED_TEST = {"imdb", "rotten_tomatoes", "samsum", "multi_news", "cnn_dailymail"}

PUBLISHED = [task for task in TASKS.values() if task.source == "hub"]


def test_the_fourteen_tasks_of_the_papers_and_the_mini_tasks_are_there() -> None:
    assert {task.name for task in PUBLISHED} == set(SOURCES)
    assert [name for name in TASKS if name not in SOURCES] == [
        "mini-sentiment",
        "mini-opinion",
        "mini-inference",
        "mini-paraphrase",
        "mini-boolq",
        "mini-qa",
        "mini-summary",
    ]


@pytest.mark.parametrize("name", SOURCES)
def test_template(name: str) -> None:
    columns, source = SOURCES[name]
    assert TASKS[name].template.format(**columns) == source


@pytest.mark.parametrize("name", LABELS)
def test_label_words_and_digits(name: str) -> None:
    task = TASKS[name]
    assert (task.words("words"), task.words("unified")) == LABELS[name]


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths(name: str) -> None:
    task = TASKS[name]
    source, target = LENGTHS[name]
    assert (task.source_length, task.bert_length) == (source, source)
    assert target is None or task.target_length == target


@pytest.mark.parametrize("task", PUBLISHED, ids=lambda task: task.name)
def test_what_is_scored(task: Task) -> None:
    assert task.hub is not None
    assert task.hub.train == "train"
    assert (task.hub.test == "test") == (task.name in LABELLED_TEST)
    if task.name == "mnli":
        assert task.hub.test == "validation_matched"
        assert dict(task.hub.extra) == {"mismatched": "validation_mismatched"}
    elif task.name not in LABELLED_TEST:
        assert task.hub.test == "validation"


# What the publishers and the hub's pages give for the splits that are read.
ROWS = {
    "sst2": {"train": 67_349, "validation": 872},
    "imdb": {"train": 25_000, "test": 25_000},
    "rotten_tomatoes": {"train": 8_530, "test": 1_066},
    "mnli": {"train": 392_702, "validation_matched": 9_815, "validation_mismatched": 9_832},
    "qnli": {"train": 104_743, "validation": 5_463},
    "rte": {"train": 2_490, "validation": 277},
    "mrpc": {"train": 3_668, "validation": 408},
    "qqp": {"train": 363_846, "validation": 40_430},
    "nq_open": {"train": 87_925, "validation": 3_610},
    "samsum": {"train": (14_732, 14_731), "test": 819},  # which one, the commit does not tell without network
    "multi_news": {"train": 44_972, "test": 5_622},
    "boolq": {"train": 9_427, "validation": 3_270},
    "copa": {"train": 400, "validation": 100},
    "cnn_dailymail": {"train": 287_113, "test": 11_490},
}


@pytest.mark.parametrize("task", PUBLISHED, ids=lambda task: task.name)
def test_published_numbers_of_rows(task: Task) -> None:
    """A wrong number refuses the whole task, and one of a split that is not read would check nothing."""
    assert task.hub is not None
    assert dict(task.hub.rows) == ROWS[task.name]
    assert set(task.hub.rows) == {task.hub.train, task.hub.test, *task.hub.extra.values()}


@pytest.mark.parametrize(
    "rows, told",
    [
        ({}, "split 'train' is missing"),
        ({"train": 5}, "split 'validation' is missing"),
        ({"train": 5, "validation": 0}, "split 'validation' needs a positive number"),
        ({"train": (), "validation": 1}, "split 'train' needs a positive number"),
        ({"train": 5, "validation": 1, "test": 1}, "split 'test' is never read"),
    ],
)
def test_a_hub_task_needs_its_published_rows(rows: dict[str, Any], told: str) -> None:
    """The cost of a task without them was silently that of a mini task."""
    entry = TASKS["sst2"].model_dump()
    with pytest.raises(BadInput, match=f"task 'sst2': key hub: .*{told}"):
        Task(**{**entry, "hub": {**entry["hub"], "rows": rows}})


def test_the_number_of_rows_is_no_part_of_the_identity() -> None:
    """A correction of a count must not move a cell: the rows' identity is the commit."""
    hub = TASKS["sst2"].hub
    assert hub is not None
    other = TASKS["sst2"].model_copy(update={"hub": hub.model_copy(update={"rows": {"train": 1, "validation": 1}})})
    assert other.rows_version == TASKS["sst2"].rows_version == hub.revision


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_main_metric(task: Task) -> None:
    kinds = {"qa": "f1", "summarisation": "rougeL"}  # Su et al., table of appendix D
    assert task.metric == kinds.get(task.kind, "accuracy")
    assert task.has_labels == (task.kind not in kinds)


def test_a_head_unit_means_the_same_on_every_task_with_unified_labels() -> None:
    # Appendix E: negative, not entailed, false -> 0; positive, entailed, true -> 1.
    for task in TASKS.values():
        for word, unit in zip(task.words("words"), task.classes("unified"), strict=True):
            if word == "neutral":
                assert unit == 2
            else:
                assert unit == (word in {"positive", "entailment", "equivalent", "duplicate", "true", "yes", "choice2"})
