"""The page of a study file's keys, from the JSON schema that checks them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGE = "config-keys.md"
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} of them",
}


def page(schema: Mapping[str, Any]) -> str:
    """The page in MyST Markdown: a table for the top level, and one for each section below it."""
    parts = [
        "# Keys of a study file\n\n"
        "A study file is YAML. An unknown key or a wrong value gives one line that names the file and the key, before "
        "anything runs. The file `config.yaml` has every key with its meaning as a comment; this page is made from "
        "`studies/study.schema.json`, which editors use for completion.\n"
    ]
    parts += [table(title, properties, required) for title, properties, required in sections(schema)]
    return "\n".join(parts)


def sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Title, keys and required keys of the top level and of every object below it, depth first, each once a place."""
    definitions = schema.get("$defs", {})

    def walk(title: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
        properties = node.get("properties", {})
        if properties:
            yield title, properties, node.get("required", [])
        for key, value in properties.items():
            prefix = key if title == "The top level" else f"{title}.{key}"
            for target, suffix in targets(value):
                yield from walk(prefix + suffix, definitions[target] if target else value)

    yield from walk("The top level", schema)


def targets(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The objects in a value: their definitions by name ("" for one written in place), and what follows the key.

    `[]` follows a list, and `.<name>` a mapping of names.
    """
    if "$ref" in value:
        yield value["$ref"].rsplit("/", 1)[-1], ""
    elif "properties" in value:
        yield "", ""
    for part in value.get("anyOf", ()):
        yield from targets(part)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".<name>")):
        each = value.get(key)
        if isinstance(each, dict) and "$ref" in each:
            yield each["$ref"].rsplit("/", 1)[-1], suffix


def table(title: str, properties: Mapping[str, Any], required: list[str]) -> str:
    heading = f"## `{title}`" if title != "The top level" else f"## {title}"
    rows = [
        f"| `{key}` | {kind(value)} | {default(value, key in required)} | {value.get('description', '')} |"
        for key, value in properties.items()
    ]
    return "\n".join([heading, "", "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def kind(value: Mapping[str, Any]) -> str:
    """The type in words, with its limits."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(kind(part) for part in value["anyOf"]))
    if "$ref" in value:
        return "section"
    if "enum" in value:
        return "one of " + ", ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    name = {"null": "absent", "object": "mapping", "array": "list"}.get(value.get("type", ""), value.get("type", "any"))
    if name == "list" and isinstance(value.get("items"), dict):
        name = f"list of {kind(value['items'])}"
    more = value.get("additionalProperties")
    if name == "mapping" and isinstance(more, dict):
        name = f"mapping to {kind(more)}"
    limits = [words.format(value[key]) for key, words in LIMITS.items() if key in value]
    return ", ".join([name, *limits])


def default(value: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    if "$ref" in value or (isinstance(value.get("default"), dict) and value["default"]):
        return "see the section"
    return f"`{json.dumps(value['default'])}`" if "default" in value else ""


def _write(app: Sphinx) -> None:
    source = Path(app.srcdir)
    made = page(json.loads((source.parent / "studies" / "study.schema.json").read_text()))
    target = source / PAGE
    if not target.exists() or target.read_text() != made:
        target.write_text(made)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
