"""Reads study files; every mistake in them gives an error of one line with the file and the key.

Snakemake and petscale read a study with the same functions, so that they have the same values. Values that are given
to `snakemake` with `--config` replace those of the file. The driver records them, and commands on the same study file,
like `petscale status`, use them until the next run of `snakemake`.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from petscale.artefacts.files import write_atomically
from petscale.artefacts.layout import Layout
from petscale.errors import BadInput, did_you_mean
from petscale.study.checks import check_names
from petscale.study.config import Study

DEFAULT = "config.yaml"
"""The study file that is read if none is named."""

_OTHER_BASE = re.compile(
    r"[-+]?0[0-7_]+|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
)
"""Numbers that YAML 1.1 reads in base 8, 2, 16 or 60: 010 is 8, and 1:30 is 90."""


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what YAML would silently read in another way than it looks.

    These are keys that stand twice, of which the last one would be used, and numbers in other bases than ten.
    """

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """A number, which is refused if it is not in base ten."""
        whole = node.tag == "tag:yaml.org,2002:int"
        number: int | float = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if _OTHER_BASE.fullmatch(node.value):
            problem = f"YAML reads {node.value} as {number}; write the number in base ten"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if isinstance(key, (str, int, float, bool)) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            if isinstance(key, (str, int, float, bool)):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


@dataclass(frozen=True)
class StudyFile:
    """A study file with the values that replace its own.

    Attributes:
        path: the file, as the user named it.
        config: values as after Snakemake's `--config`: words `key=value`.
        recorded: whether the values were not given, but are those of the last run of `snakemake`.
    """

    path: Path
    config: tuple[str, ...] = ()
    recorded: bool = False

    @classmethod
    def as_run(cls, path: Path, config: Sequence[str] | None) -> StudyFile:
        """The study file with the given values; with those of the last run of `snakemake` if none are given."""
        if config is not None:
            return cls(path, tuple(config))
        name = read_yaml(path).get("name")
        found = _recorded(Path(Layout().overrides(name)), path) if isinstance(name, str) else ()
        return cls(path, found, recorded=bool(found))

    def document(self) -> dict[str, Any]:
        """The plain data of the study.

        Raises:
            BadInput: the file cannot be read, or a word is not `key=value`.
        """
        return merged(read_yaml(self.path), parse_config(self.config))

    def load(self) -> Study:
        """Read and validate the study.

        Raises:
            BadInput: as for `document` and `parse_study`.
        """
        return parse_study(self.document(), str(self.path))

    def remark(self) -> str | None:
        """What the user should know about recorded values, in one line."""
        words = shlex.join(self.config)
        return f"with --config {words}, as in the last run of snakemake" if self.recorded else None


def parse_config(words: Sequence[str]) -> dict[str, Any]:
    """The values of words `key=value`, as Snakemake reads them after `--config`.

    Raises:
        BadInput: a word is not of this form.
    """
    if not words:
        return {}
    from snakemake.cli import parse_config as snakemakes

    try:
        found: dict[str, Any] = snakemakes(words)
    except ValueError as error:
        raise BadInput(f"--config: {error}") from None
    return found


def merged(document: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The document with values put in the place of its own; sections are merged key by key, as Snakemake does it."""
    found = dict(document)
    for key, value in values.items():
        before = found.get(key)
        if isinstance(value, Mapping):
            value = merged(before if isinstance(before, Mapping) else {}, value)
        found[key] = value
    return found


def record_config(study: str, path: Path, config: Mapping[str, Any]) -> None:
    """Record the values that were given to `snakemake` in place of those of a study file; none removes the record."""
    place = Path(Layout().overrides(study))
    if not config:
        place.unlink(missing_ok=True)
        return
    document = {"study": os.path.relpath(path), "config": config_words(config)}
    write_atomically(place, json.dumps(document, indent=1) + "\n")


def config_words(config: Mapping[str, Any]) -> list[str]:
    """The words `key=value` of values that `parse_config` reads back."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return [f"{key}={'' if config[key] is None else text}" for key, text in texts.items()]


def _recorded(place: Path, path: Path) -> tuple[str, ...]:
    try:
        document = json.loads(place.read_text())
        words, study = document["config"], document["study"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    ours = study == os.path.relpath(path) and isinstance(words, list) and all(isinstance(word, str) for word in words)
    return tuple(words) if ours else ()


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML mapping from a file.

    Raises:
        BadInput: the file cannot be read, is no YAML, or is no mapping; the message names file and line.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{path}:{line} {problem}") from None
    if not isinstance(document, Mapping):
        raise BadInput(f"{path}: a study file is a mapping of keys, this is {type(document).__name__}")
    return document


def parse_study(document: Mapping[str, Any], where: str) -> Study:
    """Make a validated study from plain data.

    Raises:
        BadInput: a key is unknown or has a wrong value; the message names `where` and the key, and suggests the closest
            known key.
    """
    if (place := _not_finite(document)) is not None:
        raise BadInput(f"{where}: key {place}: Input should be a finite number")
    try:
        study = Study.model_validate(document)
        check_names(study)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(str(first["loc"][-1]), _known_keys(Study, first["loc"][:-1]))
            raise BadInput(f"{where}: key {key}: no such key{hint}") from None
        message = first["msg"].removeprefix("Value error, ").splitlines()[0]
        raise BadInput(f"{where}: {f'key {key}: ' if key else ''}{message}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    return study


def _not_finite(document: object) -> str | None:
    """The key of a number that is infinite or NaN; None if there is none."""
    if isinstance(document, Mapping):
        items = [(str(key), value) for key, value in document.items()]
    elif isinstance(document, (list, tuple)):
        items = [(str(index), value) for index, value in enumerate(document)]
    else:
        return "" if isinstance(document, float) and not math.isfinite(document) else None
    for key, value in items:
        place = _not_finite(value)
        if place is not None:
            return f"{key}.{place}".rstrip(".")
    return None


def load_study(path: str | Path) -> Study:
    """Read and validate a study file."""
    return parse_study(read_yaml(Path(path)), str(path))


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at `location`, which may be inside optional and list-valued fields."""
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(str(part))
        if field is None:
            return []
        found = _section_of(field.annotation)
        if found is None:
            return []
        current = found
    return list(current.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section_of(argument)
        if found is not None:
            return found
    return None
