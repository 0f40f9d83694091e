"""All families by name; the list of them is `petscale.families.catalogue`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from petscale.errors import BadInput
from petscale.families.catalogue import ALL
from petscale.families.family import Family
from petscale.families.shape import BackboneShape

_FAMILIES: dict[str, Family] = {family.name: family for family in ALL}

FAMILIES: Mapping[str, Family] = MappingProxyType(_FAMILIES)


def lookup(name: object) -> Family:
    """The family of that name.

    Raises:
        BadInput: there is no such family; the message lists those that exist.
    """
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    raise BadInput(f"{name!r} is not a supported family; use {' or '.join(FAMILIES)}")


def family_of(shape: BackboneShape) -> Family:
    """The family of a backbone.

    Raises:
        BadInput: its shape names an unknown family.
    """
    return lookup(shape.family)


def total_parameters(shape: BackboneShape) -> int:
    """Number of scalars of a backbone, without a classification head; a test compares it with published counts."""
    return family_of(shape).parameters(shape)


def shape_from_config(config: Mapping[str, Any], tensor_names: Collection[str] | None = None) -> BackboneShape:
    """Read a shape from the content of a `config.json`.

    Args:
        config: the parsed file.
        tensor_names: names in the headers of the weights. They decide tying, because transformers 5 writes
            `tie_word_embeddings: true` into every T5 config and unties the matrices at load if both are stored. Without
            names, the config decides, which is right for older configs.

    Raises:
        BadInput: the model type is unknown, or a number is missing or impossible; the message names the key.
    """
    return family_of_config(config).read_shape(config, tensor_names)


def family_of_config(config: Mapping[str, Any]) -> Family:
    """The family that a `config.json` names.

    Raises:
        BadInput: the model type is unknown.
    """
    try:
        return lookup(config.get("model_type"))
    except BadInput as error:
        raise BadInput(f"config key model_type: {error}") from None


@contextmanager
def registered(family: Family) -> Iterator[None]:
    """Context in which one more family is known, for other packages that have one, and for tests.

    Raises:
        BadInput: there already is a family of that name.
    """
    if family.name in FAMILIES:
        raise BadInput(f"a family {family.name!r} exists already")
    _FAMILIES[family.name] = family
    try:
        yield
    finally:
        del _FAMILIES[family.name]
