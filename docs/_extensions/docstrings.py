"""Docstrings as Sphinx reads them.

The project's docstrings are plain text: single backquotes mean code, and a block that is indented after an empty line
is a formula or an example. In reStructuredText a star or a bar would begin markup and an indented block would be a
quotation, so both are written for Sphinx here.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note|Notes|Source|Shapes):$")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
CODE = re.compile(r"(``.+?``|`[^`]+`)")


def readable(lines: list[str]) -> list[str]:
    """The lines in reStructuredText: literal blocks marked, and stars, bars and final underscores escaped."""
    made: list[str] = []
    section = literal = False
    for number, line in enumerate(lines):
        indented = line.startswith("    ")
        if line.strip() and not indented:
            literal, section = False, bool(SECTION.match(line))
        starts = indented and not literal and not section and number > 0 and not lines[number - 1].strip()
        if starts:
            made += ["::", ""]
            literal = True
        made.append(line if literal else escaped(line))
    return made


def escaped(line: str) -> str:
    """A line of prose without characters that begin markup, except those inside backquotes."""
    bullet = re.match(r"\s*\* ", line)
    start = bullet.group() if bullet else ""
    parts = CODE.split(line.removeprefix(start))
    return start + "".join(part if index % 2 else MARKUP.sub(r"\\\g<0>", part) for index, part in enumerate(parts))


def _process(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = readable(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _process, priority=400)  # before napoleon, whose sections stay as they are
    return {"parallel_read_safe": True}
