"""Compares the label names that a published file carries with those of the task: ids alone could mean other labels."""

from __future__ import annotations

from collections.abc import Sequence

from petscale.data.rows import listed
from petscale.errors import BadInput
from petscale.tasks import Task


def check_label_names(task: Task, names: Sequence[str] | None, place: str) -> None:
    """Check that the label names in a file, if it has any, are in the task's order.

    A name may be short (`neg` for `negative`), or be the label's id.

    Raises:
        BadInput: the names are others, or in another order, so that ids would be read as other labels.
    """
    words = task.words("words")
    if not names or not words:
        return
    ids = [str(label) for label in range(len(words))]
    alike = (word.casefold().startswith(name.casefold()) for word, name in zip(words, names, strict=False))
    if len(names) == len(words) and (list(names) == ids or all(alike)):
        return
    raise BadInput(f"{place}: labels are named {listed(names)}, in the task's order they are {', '.join(words)}")
