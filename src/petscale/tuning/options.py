"""The options of a method as a typed model, and the message of one line for a wrong option.

Options come from study files, command lines and Python, and are stored in plans, so they are plain JSON data. They are
checked strictly: nothing is converted, `true` is not a number, and a single name is not a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from petscale.errors import BadInput

_LARGEST = 10**18  # JSON does not limit integers, and the quotient of very large ones overflows
_SHOWN = 60  # characters of a wrong value that a message repeats

Whole = Annotated[int, Field(ge=1)]
"""A positive integer, such as a rank."""

Positive = Annotated[int, Field(gt=0, le=_LARGEST)] | Annotated[float, Field(gt=0, le=_LARGEST)]
"""A positive number, which is kept as it was written: in a plan, 16 and 16.0 are different texts."""

Names = Annotated[tuple[str, ...], Field(min_length=1)]
"""A list of at least one name, such as roles or shell-style patterns of roles."""


LATER: JsonDict = {"later": True}
"""Extra of a field that a method's options did not have at first: plans hold it only where it is not its default."""


class BadOption(BadInput):
    """An option is unknown to the method or has a wrong value.

    Attributes:
        option: its path, such as `rank` or `shares.self.q`; empty if the options as a whole are wrong.
    """

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


class Options(BaseModel):
    """Base class of the options of a method; it has none itself.

    A method with options defines a subclass. Each field is an option: its annotation says which values are accepted,
    and it has a default and a description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True)

    @classmethod
    def read(cls, method: str, given: Mapping[str, Any]) -> Self:
        """The options of a method, with the given values instead of the defaults.

        Raises:
            BadOption: an option is unknown or has a wrong value; the message of one line names the method, the option,
                what was expected and what was found.
        """  # noqa: DOC501  `_bad_option` makes a BadOption
        for name in given:
            if name not in cls.model_fields:
                raise BadOption(str(name), f"{method}: unknown option {str(name)!r}; {_proposal(cls, str(name))}")
        texts = {name: cls._json(method, name, value) for name, value in given.items()}
        try:
            return cls.model_validate_json("{" + ",".join(f"{json.dumps(n)}:{text}" for n, text in texts.items()) + "}")
        except ValidationError as error:
            raise _bad_option(cls, method, given, error) from None

    @classmethod
    def described(cls) -> dict[str, dict[str, Any]]:
        """Each option as plain data: the accepted values in words, its default and its description."""
        return {
            name: {"type": in_words(field), "default": field.get("default"), "description": field.get("description")}
            for name, field in cls.model_json_schema().get("properties", {}).items()
        }

    def plain(self) -> dict[str, Any]:
        """All options as plain JSON data, in the form that plans store.

        A plan's digest covers its options, so those with the extra `LATER` are left out at their defaults.
        """
        new = {name for name, field in type(self).model_fields.items() if field.json_schema_extra == LATER}
        unchanged = {name for name in new if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=unchanged)

    @classmethod
    def _json(cls, method: str, name: str, value: Any) -> str:
        try:
            return json.dumps(value, sort_keys=True)
        except (TypeError, ValueError, RecursionError):
            wanted = in_words(cls.model_json_schema()["properties"][name])
            raise BadOption(name, f"{method}: option {name}: expected {wanted}, found {_shown(value)}") from None


def in_words(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema of an option accepts, in words for messages and for `petscale methods`."""
    if "anyOf" in schema:
        words = list(dict.fromkeys(in_words(branch) for branch in _branches(schema)))
        return (", or " if any("," in text for text in words) else " or ").join(words)
    if "enum" in schema or "const" in schema:
        return f"one of {', '.join(map(str, schema.get('enum', [schema.get('const')])))}"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return _number_in_words("whole number" if kind == "integer" else "number", schema)
    if kind == "array":
        items = schema.get("items", {})
        some = " of one or more" if schema.get("minItems") == 1 else ""
        if items == {"type": "string"}:
            return f"a list{some or ' of'} names"
        return f"a list{some}, each {in_words(items)}"
    if kind == "object":
        name = in_words(schema["propertyNames"]) if "propertyNames" in schema else "name"
        return f"a mapping, each {name} to {in_words(schema.get('additionalProperties', {}))}"
    return {"boolean": "true or false", "string": "text", "null": "null"}.get(str(kind), "plain data")


def _number_in_words(noun: str, schema: Mapping[str, Any]) -> str:
    above, least, most = schema.get("exclusiveMinimum"), schema.get("minimum"), schema.get("maximum")
    positive = above == 0 or (least == 1 and schema["type"] == "integer")
    limits = [
        *([f"above {above}"] if above is not None and not positive else []),
        *([f"of at least {least}"] if least is not None and not positive else []),
        *([f"below {schema['exclusiveMaximum']}"] if "exclusiveMaximum" in schema else []),
        *([f"up to {most:g}"] if most is not None else []),
    ]
    return " ".join([f"a {'positive ' if positive else ''}{noun}", *([" and ".join(limits)] if limits else [])])


def _branches(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alternatives of a schema; integers are left out if all numbers are accepted."""
    branches = list(schema.get("anyOf", [schema]))
    if any(branch.get("type") == "number" for branch in branches):
        return [branch for branch in branches if branch.get("type") != "integer"]
    return branches


def _proposal(options: type[Options], name: str) -> str:
    near = get_close_matches(name, options.model_fields, n=1)
    return f"did you mean {near[0]!r}?" if near else f"options: {', '.join(options.model_fields) or 'none'}"


def _bad_option(options: type[Options], method: str, given: Mapping[str, Any], error: ValidationError) -> BadOption:
    """The most specific error as one line; each alternative of an option reports an error, and the deepest is used."""
    places = [(*_place(given, fault["loc"]), fault) for fault in error.errors()]
    path, found, fault = max(places, key=lambda place: len(place[0]))
    if not fault["loc"] or fault["type"] == "value_error":
        option = ".".join(map(str, path))
        text = fault["msg"].removeprefix("Value error, ").splitlines()[0]
        return BadOption(option, f"{method}: {f'option {option}' if option else 'options'}: {text}")
    option = ".".join(map(str, path or fault["loc"]))
    wanted = _schema_at(options.model_json_schema(), path or fault["loc"], key=fault["loc"][-1] == "[key]")
    shown = "nothing" if fault["type"] == "missing" else _shown(path[-1] if fault["loc"][-1] == "[key]" else found)
    return BadOption(option, f"{method}: option {option}: expected {in_words(wanted)}, found {shown}")


def _place(given: Any, location: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Any]:
    """The part of an error's location that exists in the data, and the value there; it may also name alternatives."""
    path: list[int | str] = []
    for part in location:
        inside = isinstance(given, (list, tuple)) and isinstance(part, int) and part < len(given)
        if inside or (isinstance(given, Mapping) and part in given):
            given = given[part]
            path.append(part)
    return tuple(path), given


def _schema_at(schema: Mapping[str, Any], path: tuple[int | str, ...], *, key: bool) -> Mapping[str, Any]:
    """The schema of the value at a path, or with `key` that of the path's last key."""
    for depth, part in enumerate(path):
        inner = list(_children(schema, part))
        if key and depth == len(path) - 1:
            return next((branch["propertyNames"] for branch in _branches(schema) if "propertyNames" in branch), {})
        schema = inner[0] if inner else {}
    return schema


def _children(schema: Mapping[str, Any], part: int | str) -> Iterator[Mapping[str, Any]]:
    for branch in _branches(schema):
        if isinstance(part, int):
            if "items" in branch:
                yield branch["items"]
        elif part in branch.get("properties", {}):
            yield branch["properties"][part]
        elif isinstance(branch.get("additionalProperties"), Mapping):
            yield branch["additionalProperties"]


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits cannot be converted to text
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
