"""Natural language inference (Su et al., appendix A), and the reading and reasoning tasks of Lialin et al.

These tasks have two texts and sources of 256 tokens (B.3). BoolQ and COPA use Lialin et al.'s 512 tokens and the
wording of their T5 runs (`{task} {field}: {value}`); they are in this file because they have two texts and labels. In
version 2 of a task with two texts, a T5 source that is too long is cut at its longer text.
"""

from __future__ import annotations

from typing import Any

from petscale.tasks.task import Hub, Task

_GLUE: dict[str, Any] = {"id": "nyu-mll/glue", "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"}
_SUPERGLUE: dict[str, Any] = {"id": "aps/super_glue", "revision": "3de24cf8022e94f4ee4b9d55a6f539891524d646"}
_TWO_WAY: dict[str, Any] = {
    "labels": ("entailment", "not_entailment"),
    "unified": ("1", "0"),
    "label_column": "label",
}
_LENGTHS: dict[str, Any] = {"source_length": 256, "target_length": 6, "bert_length": 256}

# MNLI keeps three classes under unified labels; no other task has the digit 2 for neutral (docs/tasks.md).
MNLI = Task(
    name="mnli",
    version=2,
    kind="inference",
    hub=Hub(
        **_GLUE,
        config="mnli",
        test="validation_matched",
        extra={"mismatched": "validation_mismatched"},
        rows={"train": 392_702, "validation_matched": 9_815, "validation_mismatched": 9_832},
    ),
    columns=("premise", "hypothesis", "label"),
    label_column="label",
    template="Input: premise: {premise} [SEP] hypothesis: {hypothesis} Output: ",
    text_a="{premise}",
    text_b="{hypothesis}",
    labels=("entailment", "neutral", "contradiction"),
    unified=("1", "2", "0"),
    source_length=256,
    target_length=5,
    bert_length=256,
    citation="Williams et al. 2018",
)

QNLI = Task(
    name="qnli",
    version=2,
    kind="inference",
    hub=Hub(**_GLUE, config="qnli", rows={"train": 104_743, "validation": 5_463}),
    columns=("question", "sentence", "label"),
    template="Input: question: {question} [SEP] sentence: {sentence} Output: ",
    text_a="{question}",
    text_b="{sentence}",
    citation="Wang et al. 2019",
    **_TWO_WAY,
    **_LENGTHS,
)

RTE = Task(
    name="rte",
    version=2,
    kind="inference",
    hub=Hub(**_GLUE, config="rte", rows={"train": 2_490, "validation": 277}),
    columns=("sentence1", "sentence2", "label"),
    template="Input: sentence 1: {sentence1} [SEP] sentence 2: {sentence2} Output: ",
    text_a="{sentence1}",
    text_b="{sentence2}",
    citation="Bos and Markert 2005",
    **_TWO_WAY,
    **_LENGTHS,
)

BOOLQ = Task(
    name="boolq",
    version=2,
    kind="inference",
    hub=Hub(**_SUPERGLUE, config="boolq", rows={"train": 9_427, "validation": 3_270}),
    columns=("question", "passage", "label"),
    label_column="label",
    template="boolq passage: {passage} question: {question}",
    text_a="{question}",
    text_b="{passage}",
    labels=("false", "true"),
    unified=("0", "1"),
    source_length=512,
    target_length=3,
    bert_length=512,
    citation="Clark et al. 2019",
)

# Appendix E gives no digits for COPA, whose choices are neither true nor false, so the hub's label ids are used.
COPA = Task(
    name="copa",
    kind="inference",
    hub=Hub(**_SUPERGLUE, config="copa", rows={"train": 400, "validation": 100}),
    columns=("premise", "choice1", "choice2", "question", "label"),
    label_column="label",
    template="copa choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}",
    text_a="{premise} What was the {question}?",
    text_b="choice1: {choice1} choice2: {choice2}",
    labels=("choice1", "choice2"),
    unified=("0", "1"),
    source_length=512,
    target_length=3,
    bert_length=512,
    citation="Roemmele et al. 2011",
)

TASKS = (MNLI, QNLI, RTE, BOOLQ, COPA)
