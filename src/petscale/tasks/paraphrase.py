"""Paraphrase identification (Su et al., appendix A): two texts, 256 tokens (B.3).

In version 2, a T5 source that is too long is cut at its longer text.
"""

from __future__ import annotations

from typing import Any

from petscale.tasks.task import Hub, Task

_GLUE: dict[str, Any] = {"id": "nyu-mll/glue", "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"}
_LENGTHS: dict[str, Any] = {"source_length": 256, "target_length": 6, "bert_length": 256}

MRPC = Task(
    name="mrpc",
    version=2,
    kind="paraphrase",
    hub=Hub(**_GLUE, config="mrpc", rows={"train": 3_668, "validation": 408}),
    columns=("sentence1", "sentence2", "label"),
    label_column="label",
    template="Input: sentence 1: {sentence1} [SEP] sentence 2: {sentence2} Output: ",
    text_a="{sentence1}",
    text_b="{sentence2}",
    labels=("not_equivalent", "equivalent"),
    unified=("0", "1"),
    citation="Dolan and Brockett 2005",
    **_LENGTHS,
)

QQP = Task(
    name="qqp",
    version=2,
    kind="paraphrase",
    hub=Hub(**_GLUE, config="qqp", rows={"train": 363_846, "validation": 40_430}),
    columns=("question1", "question2", "label"),
    label_column="label",
    template="Input: question 1: {question1} [SEP] question 2: {question2} Output: ",
    text_a="{question1}",
    text_b="{question2}",
    labels=("not_duplicate", "duplicate"),
    unified=("0", "1"),
    citation="Sharma et al. 2019",
    **_LENGTHS,
)

TASKS = (MRPC, QQP)
