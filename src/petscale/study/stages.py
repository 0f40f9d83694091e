"""Versions of the stages. Bump one by hand when its numbers may change; the cells it concerns then rerun.

`stages.json` keeps, for each stage, the version and the digest of the code that it stands for. CI fails when code
changed and neither the version nor a waiver did: `petscale stages --bump train` or `--waive train "why"`.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

# What each stage's numbers depend on, as files or folders of the package. Methods have versions of their own.
SOURCES: dict[str, tuple[str, ...]] = {
    "prepare": (
        "data/checks.py",
        "data/files.py",
        "data/hub.py",
        "data/prepare.py",
        "data/rows.py",
        "data/sources.py",
        "mini/language.py",
        "mini/scenes.py",
        "mini/tasks.py",
        "mini/words.py",
    ),
    "tokenize": ("artefacts/ragged.py", "data/tokenize.py"),
    "backbone": ("backbones/convert.py", "backbones/folder.py", "fetching/materialise.py", "mini", "pretraining"),
    "train": (
        "backbones/load.py",
        "data/batches.py",
        "data/decode.py",
        "artefacts/ragged.py",
        "data/tokens.py",
        "parallel/dropout.py",
        "parallel/shards.py",
        "parallel/team.py",
        "scoring",
        "training/gradient.py",
        "training/loop.py",
        "training/publish.py",
        "training/schedule.py",
        "training/setup.py",
        "tuning",
    ),
    "transfer": ("training/transfer.py",),
}


@dataclass(frozen=True)
class Stage:
    """One stage of the DAG."""

    version: int
    code: str


def _read() -> dict[str, Stage]:
    document: dict[str, Any] = json.loads(resources.files("petscale.study").joinpath("stages.json").read_text())
    return {name: Stage(entry["version"], entry["code"]) for name, entry in document.items()}


STAGES = MappingProxyType(_read())


@cache
def code_digest(stage: str) -> str:
    """SHA-256 over the syntax trees of a stage's sources: comments, docstrings and layout do not count."""
    sha = hashlib.sha256()
    root = resources.files("petscale")
    for name in SOURCES[stage]:
        for path, text in sorted(_python_files(root.joinpath(*name.split("/")), name)):
            sha.update(path.encode())
            sha.update(ast.dump(_without_docstrings(ast.parse(text))).encode())
    return sha.hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def _python_files(entry: Traversable, name: str) -> list[tuple[str, str]]:
    if entry.is_dir():
        return [file for child in entry.iterdir() for file in _python_files(child, f"{name}/{child.name}")]
    return [(name, entry.read_text())] if name.endswith(".py") else []
