"""What a number depends on: versions of stages, methods and families, and the code that each stands for.

`stages.json` lists, for each of them, its source files, found from the imports (petscale.study.sources), and the
digest of their code. CI fails when the code changed and neither the version nor a waiver did (`petscale stages`).
Here the committed lists are read and nothing else: cells start by the thousand.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["stages", "families", "methods"]
KINDS: tuple[Kind, ...] = ("stages", "families", "methods")

_LISTS = "stages.json"


@dataclass(frozen=True)
class Entry:
    """A stage, or what has a version of its own beside the stages.

    Attributes:
        version: raised when its numbers may change; None for the cheap stages, which rerun by their code.
        code: digest of the code that the version stands for; None where there is no version.
        sources: its files below the package. A method, a family and a transfer leave out the files of `train`.
    """

    version: int | None
    code: str | None
    sources: tuple[str, ...]


def _read() -> Mapping[Kind, Mapping[str, Entry]]:
    document: dict[str, dict[str, Any]] = json.loads(resources.files("petscale.study").joinpath(_LISTS).read_text())
    return MappingProxyType({kind: MappingProxyType(_entries(document.get(kind, {}))) for kind in KINDS})


def _entries(section: Mapping[str, Any]) -> dict[str, Entry]:
    return {
        name: Entry(entry.get("version"), entry.get("code"), tuple(entry["sources"])) for name, entry in section.items()
    }


ENTRIES = _read()


def version(stage: str, family: str | None = None) -> int | str:
    """The version of a stage, together with that of a family whose work the stage does.

    A family's first version is left out, so that what was made before families had versions is not made again.
    """
    own = ENTRIES["stages"][stage].version
    assert own is not None, f"{stage} reruns by its code"
    entry = ENTRIES["families"].get(family) if family is not None else None
    return own if entry is None or entry.version == 1 else f"{own}, {family} {entry.version}"


def cell_code(method: str, family: str) -> str:
    """Digest of the code that makes a cell: the code that all training shares, its method's and its family's.

    A method or family that is registered from outside of the package has no list here, and adds nothing.
    """
    return code_digest(("stages", "train"), ("methods", method), ("families", family))


@cache
def code_digest(*parts: tuple[Kind, str]) -> str:
    """SHA-256 over the sources of all parts together, shortened to 16 hexadecimal digits.

    Of Python files the syntax tree counts: comments, docstrings and layout do not.
    """
    entries = [ENTRIES[kind].get(name) for kind, name in parts]
    return digest_of({source for entry in entries if entry is not None for source in entry.sources})


def digest_of(sources: Iterable[str]) -> str:
    """`code_digest` of a list of files below the package."""
    return hashlib.sha256("".join(map(_file_digest, sorted(sources))).encode()).hexdigest()[:16]


@cache
def _file_digest(source: str) -> str:
    sha = hashlib.sha256(source.encode() + b"\n")
    content = resources.files("petscale").joinpath(*source.split("/")).read_bytes()
    sha.update(ast.dump(without_docstrings(ast.parse(content))).encode() if source.endswith(".py") else content)
    return sha.hexdigest()


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without the docstrings of its modules, classes and functions (changed in place)."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree
