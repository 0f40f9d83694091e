"""Sentiment analysis (Su et al., appendix A): one text, 128 tokens (B.3)."""

from __future__ import annotations

from typing import Any

from petscale.tasks.task import Hub, Task

_LABELS: dict[str, Any] = {"labels": ("negative", "positive"), "unified": ("0", "1"), "label_column": "label"}
_LENGTHS: dict[str, Any] = {"source_length": 128, "target_length": 3, "bert_length": 128}

SST2 = Task(
    name="sst2",
    kind="sentiment",
    hub=Hub(
        id="nyu-mll/glue",
        config="sst2",
        revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        rows={"train": 67_349, "validation": 872},
    ),
    columns=("sentence", "label"),
    template="Input: sentence: {sentence} Output: ",
    text_a="{sentence}",
    citation="Socher et al. 2013",
    **_LABELS,
    **_LENGTHS,
)

IMDB = Task(
    name="imdb",
    kind="sentiment",
    hub=Hub(
        id="stanfordnlp/imdb",
        config="plain_text",
        revision="e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        test="test",
        rows={"train": 25_000, "test": 25_000},
    ),
    columns=("text", "label"),
    template="Input: {text} Output: ",
    text_a="{text}",
    citation="Maas et al. 2011",
    **_LABELS,
    **_LENGTHS,
)

ROTTEN_TOMATOES = Task(
    name="rotten_tomatoes",
    kind="sentiment",
    hub=Hub(
        id="cornell-movie-review-data/rotten_tomatoes",
        revision="aa13bc287fa6fcab6daf52f0dfb9994269ffea28",
        test="test",
        files="{split}.parquet",
        rows={"train": 8_530, "test": 1_066},
    ),
    columns=("text", "label"),
    template="Input: {text} Output: ",
    text_a="{text}",
    citation="Pang and Lee 2005",
    **_LABELS,
    **_LENGTHS,
)

TASKS = (SST2, IMDB, ROTTEN_TOMATOES)
