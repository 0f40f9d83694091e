"""Keeps special tokens that stand in a text from becoming special ids.

A tokenizer gives `[SEP]` or `</s>` in a text the id of the token that separates or ends sequences, so a review that
quotes one would end in its middle. A space after the first character makes it plain text for every tokenizer: BERT's
reads `[ SEP]` as it reads the three plain pieces of `[SEP]`, and T5's has the special tokens as pieces of its
vocabulary, so that it cannot read them as text in another way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from petscale.tasks import Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def open_up(tokenizer: Tokenizer, task: Task, columns: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], int]:
    """The columns of a prepared split with no special token in a text, and the number of rows that had one.

    Tokens that the task's own template of a column holds are left, since they are no part of a text.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    special = sorted((token.content for token in added if token.special), key=len, reverse=True)
    templates = {"text_a": task.text_a, "text_b": task.text_b or "", "source": task.template}
    hit: set[int] = set()
    opened = dict(columns)
    for name in ("text_a", "text_b", "source", "target", "target_unified"):
        searched = [token for token in special if token not in templates.get(name, "")]
        if not searched:
            continue
        pattern = re.compile("|".join(map(re.escape, searched)))
        texts = list(columns[name])
        for row, text in enumerate(texts):
            if text is not None and pattern.search(text):
                texts[row] = pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
                hit.add(row)
        opened[name] = texts
    return opened, len(hit)
