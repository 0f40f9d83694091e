"""Prefixes: trained keys and values in front of those of an attention (Li and Liang 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from petscale.errors import BadInput
from petscale.families.parts import Place
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Options, Whole
from petscale.tuning.methods.tensors import dense, gate
from petscale.tuning.site import Site, Trained

PARTS = ("keys", "values")

Positions = Literal["none", "before", "shifted"]


class PrefixOptions(Options):
    """The options that all prefixes have."""

    tokens: Whole = Field(30, description="keys and values added to every attention")
    positions: Positions = Field(
        "none",
        description="relative positions of the added keys: none; in front of the sequence; or as in adapters 1.3.0, "
        "where the sequence moves behind them and the queries do not",
    )


class GeneratedOptions(PrefixOptions):
    """The options of prefixes that a network makes."""

    middle: Whole = Field(512, description="width of the network's hidden layer")


def generated(
    offered: Inventory, method: str, options: GeneratedOptions, gate_over: str | None = None
) -> Iterator[Site | Trained]:
    """A prefix for every attention, and the networks that make them: one for each kind of attention.

    The kinds are the self-attentions of each stack and cross-attention. Their sites share codes and first layer, and
    each has its own part of the second layer. Starts are those of torch's layers.

    Args:
        offered: the inventory of the backbone.
        method: name of the method, for messages.
        options: its options.
        gate_over: what the gate of each attention averages over (petscale.tuning.operations.gate); None for no gates.

    Yields:
        Sites, and the tensors that several of them share.
    """
    tokens, middle = options.tokens, options.middle
    kinds: set[str] = set()
    for place in _attentions(offered, method, options):
        kind = f"{place.stack}-{place.role}"
        if kind not in kinds:
            kinds.add(kind)
            yield dense(f"{kind}.codes", (tokens, place.width_in), "normal", std=1)
            yield dense(f"{kind}.first", (middle, place.width_in), "fan-in")
            yield dense(f"{kind}.first.bias", (middle,), "uniform", bound=place.width_in**-0.5)
        tensors = []
        for part in PARTS:
            tensors.append(dense(f"{part}.second", (place.width_out, middle), "fan-in"))
            tensors.append(dense(f"{part}.second.bias", (place.width_out,), "uniform", bound=middle**-0.5))
        uses = {key: f"{kind}.{key}" for key in ("codes", "first", "first.bias")}
        yield _site(place, options, "generated", tensors, uses, gate_over)


def flat(offered: Inventory, method: str, options: PrefixOptions, std: float) -> Iterator[Site]:
    """A prefix for every attention that is trained itself."""
    for place in _attentions(offered, method, options):
        size = (options.tokens, place.width_out)
        tensors = [dense(part, size, "normal", std=std) for part in PARTS]
        yield _site(place, options, "plain", tensors, {}, None)


def _attentions(offered: Inventory, method: str, options: PrefixOptions) -> tuple[Place, ...]:
    """The places of prefixes.

    Raises:
        BadInput: the option `positions` asks for relative positions and the backbone has none.
    """
    if options.positions != "none" and not offered.shape.relative_buckets:
        raise BadInput(
            f"{method}: option positions: {options.positions!r} needs relative positions, which this "
            f"{offered.shape.family} backbone does not have"
        )
    return offered.places_of("attention")


def _site(
    place: Place,
    options: PrefixOptions,
    parametrisation: str,
    tensors: list[Trained],
    uses: dict[str, str],
    gate_over: str | None,
) -> Site:
    settings: dict[str, Any] = {"count": options.tokens, "positions": options.positions}
    if gate_over is not None:
        settings["gate"] = gate_over
        tensors = [*tensors, *gate(place.width_in)]
    name = f"concat-keys:{place.module}"
    return Site(name, place.module, "concat-keys", parametrisation, place.role, tuple(tensors), settings, uses)
