"""What a job that failed said last; other lines of its log are progress, while it still runs."""

from __future__ import annotations

import re
from pathlib import Path

from petscale.cells.phase import last_line

_WORDS = re.compile(r"petscale: |[\w.]*(Error|Exception|Interrupt|Exit|Warning)\b")


def last_words(log: Path) -> str | None:
    """The cause of a failure in one line; None if the log names none."""
    line = last_line(log)
    return line.removeprefix("petscale: ") if line is not None and _WORDS.match(line) else None
