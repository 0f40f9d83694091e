"""The tasks of the generated language: one of each kind, a second sentiment task, and yes-no questions.

Their wording follows that of the papers' tasks.
"""

from __future__ import annotations

from typing import Any

from petscale.tasks.task import Task

_CITATION = "petscale.mini"
_COMMON: dict[str, Any] = {"version": 3, "source_length": 64, "target_length": 3, "bert_length": 64}

SENTIMENT = Task(
    name="mini-sentiment",
    kind="sentiment",
    source="mini",
    columns=("text", "label"),
    label_column="label",
    template="Input: sentence: {text} Output: ",
    text_a="{text}",
    labels=("negative", "positive"),
    unified=("0", "1"),
    citation=_CITATION,
    **_COMMON,
)

OPINION = SENTIMENT.model_copy(update={"name": "mini-opinion"})

INFERENCE = Task(
    name="mini-inference",
    kind="inference",
    source="mini",
    columns=("premise", "hypothesis", "label"),
    label_column="label",
    template="Input: premise: {premise} [SEP] hypothesis: {hypothesis} Output: ",
    text_a="{premise}",
    text_b="{hypothesis}",
    labels=("entailment", "not_entailment"),
    unified=("1", "0"),
    citation=_CITATION,
    **_COMMON,
)

PARAPHRASE = Task(
    name="mini-paraphrase",
    kind="paraphrase",
    source="mini",
    columns=("sentence1", "sentence2", "label"),
    label_column="label",
    template="Input: sentence 1: {sentence1} [SEP] sentence 2: {sentence2} Output: ",
    text_a="{sentence1}",
    text_b="{sentence2}",
    labels=("not_equivalent", "equivalent"),
    unified=("0", "1"),
    citation=_CITATION,
    **(_COMMON | {"version": 4}),
)

BOOLQ = Task(
    name="mini-boolq",
    kind="inference",
    source="mini",
    columns=("passage", "question", "label"),
    label_column="label",
    template="Input: {passage} {question} Output: ",
    text_a="{passage}",
    text_b="{question} yes .",
    labels=("no", "yes"),
    unified=("0", "1"),
    citation=_CITATION,
    **(_COMMON | {"version": 1}),
)

QA = Task(
    name="mini-qa",
    version=3,
    kind="qa",
    source="mini",
    columns=("question", "answer"),
    target_column="answer",
    template="Input: question: {question} Output: ",
    text_a="{question}",
    source_length=64,
    target_length=8,
    bert_length=64,
    citation=_CITATION,
)

SUMMARY = Task(
    name="mini-summary",
    version=3,
    kind="summarisation",
    source="mini",
    columns=("dialogue", "summary"),
    target_column="summary",
    template="Input: summarize: {dialogue} Output: ",
    text_a="{dialogue}",
    source_length=64,
    target_length=16,
    bert_length=64,
    citation=_CITATION,
)

TASKS = (SENTIMENT, OPINION, INFERENCE, PARAPHRASE, BOOLQ, QA, SUMMARY)
