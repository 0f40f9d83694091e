"""Closed-book question answering (Su et al., appendix A): a question, no context."""

from __future__ import annotations

from petscale.tasks.task import Hub, Task

# B.3 gives no output length for answers; 32 tokens are enough for all but the longest accepted answers.
NQ_OPEN = Task(
    name="nq_open",
    kind="qa",
    hub=Hub(
        id="google-research-datasets/nq_open",
        config="nq_open",
        revision="5dd9790a83002ad084ddeb7c420dc716852c6f28",
        rows={"train": 87_925, "validation": 3_610},
    ),
    columns=("question", "answer"),
    target_column="answer",
    template="Input: {question} Output: ",
    text_a="{question}",
    source_length=256,
    target_length=32,
    bert_length=256,
    citation="Kwiatkowski et al. 2019; Lee et al. 2019",
)

TASKS = (NQ_OPEN,)
