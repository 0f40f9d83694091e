"""The bottlenecks of adapters: act(x W_down + b_down) W_up + b_up, with whole matrices and two biases."""

from __future__ import annotations

from typing import Any

from petscale.families.parts import Place
from petscale.tuning.methods.tensors import Learned, dense, gate
from petscale.tuning.methods.tensors import scale as learned_scale
from petscale.tuning.site import Site, Trained

LIBRARY_STD = 0.02  # of the matrices of sequential adapters in the adapters library


def reduced(width: int, reduction: int) -> int:
    """Width of a bottleneck, as the adapters library rounds it."""
    return max(1, width // reduction)


def serial(place: Place, width: int, activation: str, *, std: float, gate_over: str | None = None) -> Site:
    """A bottleneck that reads a module's output and adds to it; near the identity at the start.

    Args:
        place: a place of kind `stream` or `sublayer`.
        width: width of the bottleneck.
        activation: name of the activation in transformers.
        std: standard deviation of both matrices at the start.
        gate_over: what the gate in front of it averages over (petscale.tuning.operations.gate); None for no gate.
    """
    down, up = (
        dense(key, (width, size), "normal", dead=place.dead, std=std)
        for key, size in (("down", place.width_in), ("up", place.width_out))
    )
    if gate_over is None:
        return _site("plug", place, (down, up), activation=activation)
    tensors = (down, up, *gate(place.width_in, dead=place.dead))
    return _site("plug", place, tensors, activation=activation, gate=gate_over)


def parallel(place: Place, width: int, activation: str, scale: float | None, learns: Learned) -> Site:
    """A bottleneck beside a sub-layer, which reads the sub-layer's input; the identity at the start.

    Args:
        place: a place of kind `parallel`.
        width: width of the bottleneck.
        activation: name of the activation in transformers.
        scale: constant by which the output is multiplied; None for a learned one, which starts at 1.
        learns: what is trained of a learned one.
    """
    down = dense("down", (width, place.width_in), "fan-in", dead=place.dead)
    up = dense("up", (width, place.width_out), "zeros", dead=place.dead)
    settings = {"activation": activation, "reads": place.reads}
    if scale is not None:
        return _site("plug-beside", place, (down, up), **settings, scale=scale)
    tensor, more = learned_scale(1, learns, dead=place.dead)
    return _site("plug-beside", place, (down, up, tensor), **settings, **more)


def _site(kind: str, place: Place, tensors: tuple[Trained, ...], **settings: Any) -> Site:
    """The site with its two biases, whose widths are those of the two matrices."""
    width = tensors[0].shape[0]
    biases = (
        dense("down.bias", (width,), "zeros", dead=place.dead),
        dense("up.bias", (place.width_out,), "zeros", dead=place.dead),
    )
    name = f"{kind}:{place.module}"
    return Site(name, place.module, "plug", "low-rank", place.role, (*tensors, *biases), settings)
