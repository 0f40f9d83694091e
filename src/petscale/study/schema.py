"""The default study file and the JSON schema, generated from the models so that neither can drift from them."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from petscale.study.config import Study
from petscale.tuning.registry import METHODS

SCHEMA_NAME = "study.schema.json"

# Strings that YAML reads as themselves without quotes, and words that it does not.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def schema_text() -> str:
    """JSON schema of study files, for editors. Options of methods stand in it as the methods declare them."""
    document = Study.model_json_schema()
    found, options = models_json_schema([(method.options, "validation") for method in METHODS.values()])
    document["$defs"] |= options["$defs"]
    document["properties"]["method_options"] |= {
        "properties": {name: found[method.options, "validation"] for name, method in METHODS.items()},
        "additionalProperties": False,
    }
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def study_text(study: dict[str, Any], head: str, schema: str) -> str:
    """A study file with every key, its value and its description as a comment.

    Args:
        study: the values that differ from the defaults.
        head: comment lines for the top of the file.
        schema: path of the JSON schema, relative to the file.
    """
    full = Study.model_validate(study)
    lines = [f"# yaml-language-server: $schema={schema}", *(f"# {line}".rstrip() for line in head.splitlines()), ""]
    return "\n".join([*lines, *_section(full, 0)]) + "\n"


def _section(section: BaseModel, depth: int) -> list[str]:
    lines: list[str] = []
    pad = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if depth == 0 and lines:
            lines.append("")
        if field.description:
            lines.append(f"{pad}# {field.description}")
        if isinstance(value, BaseModel):
            lines += [f"{pad}{name}:", *_section(value, depth + 1)]
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            lines.append(f"{pad}{name}:")
            for entry in value:
                inner = [line for line in _section(entry, depth + 2) if not line.lstrip().startswith("#")]
                lines += [f"{pad}  - {inner[0].lstrip()}", *inner[1:]]
        elif isinstance(value, dict) and value:
            lines += [f"{pad}{name}:", *(f"{pad}  {key}: {_inline(item)}" for key, item in value.items())]
        else:
            lines.append(f"{pad}{name}: {_inline(value)}")
    return lines


def _inline(value: Any) -> str:
    """A value as YAML flow style, which JSON is a part of; numbers as Python writes them."""
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0") + ("0" if value == int(value) else "") if 1e-4 <= value < 1e6 else repr(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in _WORDS:
        return value
    return json.dumps(value)
