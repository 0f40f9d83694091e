"""All tasks by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from petscale.errors import BadInput
from petscale.tasks import inference, mini, paraphrase, qa, sentiment, summarisation
from petscale.tasks.task import Task

_KINDS = (sentiment, inference, paraphrase, qa, summarisation, mini)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for kind in _KINDS for task in kind.TASKS})


def lookup(name: str) -> Task:
    """Return the task of that name.

    Raises:
        BadInput: there is no such task; the message suggests the closest names.
    """
    if name in TASKS:
        return TASKS[name]
    close = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(TASKS)}"
    raise BadInput(f"unknown task {name!r}; {hint}")
