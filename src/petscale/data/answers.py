"""Reads a list of answers from the text that a csv or tsv file holds in its place."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_PYTHON = re.compile(rf"\[\s*{_TEXT}(?:\s*,\s*{_TEXT})*\s*,?\s*\]", re.DOTALL)
_NUMPY = re.compile(rf"\[\s*{_TEXT}(?:\s+{_TEXT})*\s*\]", re.DOTALL)
_ARRAY = re.compile(r"array\((\[.*\])(?:\s*,\s*dtype=[^()]*)?\)", re.DOTALL)


def parse_answers(text: str) -> Any:
    """The list that a text stands for, or the text itself if it is one plain answer.

    Three spellings of a list are read: JSON (`["14", "fourteen"]`), Python's, which pandas writes (`['14',
    'fourteen']`), and NumPy's, which `datasets` writes (`['14' 'fourteen']`, also within `array(...)`). None stands for
    a text in square brackets that is none of them, such as a list that NumPy shortened.
    """
    bare = text.strip()
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        pass
    else:
        return found if isinstance(found, list) else text
    array = _ARRAY.fullmatch(bare)
    bare = array[1] if array else bare
    if not (bare.startswith("[") and bare.endswith("]")):
        return text
    if _PYTHON.fullmatch(bare) or _NUMPY.fullmatch(bare):
        return _texts(bare)
    return [] if not bare[1:-1].strip() else None


def _texts(written: str) -> list[str] | None:
    """The texts between quotation marks; they are taken one by one, since Python joins texts that follow each other."""
    try:
        return [str(ast.literal_eval(text)) for text in re.findall(_TEXT, written, re.DOTALL)]
    except (ValueError, SyntaxError):  # an escape that Python does not know, or a line break
        return None
