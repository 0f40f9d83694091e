"""Summarisation: dialogues and news (Su et al., appendix A), and CNN/DailyMail (Lialin et al.)."""

from __future__ import annotations

from petscale.tasks.task import Hub, Task

# `samsum` and `Samsung/samsum` no longer exist on the hub (huggingface/datasets issue 7573). This is the copy that the
# maintainers' thread names; it has no loading script. Sources give its train split 14,731 or 14,732 rows.
SAMSUM = Task(
    name="samsum",
    kind="summarisation",
    hub=Hub(
        id="knkarthick/samsum",
        revision="6b929ff10edec703164e3ddb2e94aae058c9ab5f",
        test="test",
        files="{split}.csv",
        rows={"train": (14_732, 14_731), "test": 819},
    ),
    columns=("dialogue", "summary"),
    target_column="summary",
    template="Input: summarize: {dialogue} Output: ",
    text_a="{dialogue}",
    source_length=256,
    target_length=128,
    bert_length=256,
    citation="Gliwa et al. 2019",
)

# The repository still has a loading script, which datasets 4 and later refuse (issue 7746). Its data files are plain
# text with one row per line, and are read directly.
MULTI_NEWS = Task(
    name="multi_news",
    kind="summarisation",
    hub=Hub(
        id="alexfabbri/multi_news",
        revision="38cb206959a2cca3aa49858914fba76258a3dcaf",
        test="test",
        text_files={"document": "data/{split}.src.cleaned", "summary": "data/{split}.tgt"},
        rows={"train": 44_972, "test": 5_622},
    ),
    columns=("document", "summary"),
    target_column="summary",
    template="Input: summarize: {document} Output: ",
    text_a="{document}",
    source_length=256,
    target_length=64,
    bert_length=256,
    citation="Fabbri et al. 2019",
)

CNN_DAILYMAIL = Task(
    name="cnn_dailymail",
    kind="summarisation",
    hub=Hub(
        id="abisee/cnn_dailymail",
        config="3.0.0",
        revision="96df5e686bee6baa90b8bee7c28b81fa3fa6223d",
        test="test",
        rows={"train": 287_113, "test": 11_490},
    ),
    columns=("article", "highlights"),
    target_column="highlights",
    template="summarize: {article}",
    text_a="{article}",
    source_length=512,
    target_length=128,
    bert_length=512,
    citation="Hermann et al. 2015; See et al. 2017",
)

TASKS = (SAMSUM, MULTI_NEWS, CNN_DAILYMAIL)
