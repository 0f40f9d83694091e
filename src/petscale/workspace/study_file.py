"""Reads study files; every mistake in them gives an error of one line with the file and the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from petscale.errors import BadInput, did_you_mean
from petscale.study.checks import check_names
from petscale.study.config import Study


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys, of which YAML would silently use the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if isinstance(key, (str, int, float, bool)) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            if isinstance(key, (str, int, float, bool)):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a YAML mapping from a file.

    Raises:
        BadInput: the file cannot be read, is no YAML, or is no mapping; the message names file and line.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
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
