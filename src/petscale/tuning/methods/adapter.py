"""Adapters: a bottleneck after self-attention and after the feed-forward network (Houlsby et al. 2019).

As published in Su et al. (equation 13, bottleneck 24) and in their released code, an adapter acts on the residual
stream after each of the two sub-layers, but not after cross-attention. It is drawn with standard deviation 0.01, so it
starts close to the identity but not exactly at it. `placement: sublayer` is Houlsby's place, inside the residual sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Options, Request, Whole
from petscale.tuning.plan import Site
from petscale.tuning.sites import bottleneck


class AdapterOptions(Options):
    """The options of adapters: size, place and activation."""

    bottleneck: Whole = Field(24, description="width between the two projections")
    placement: Literal["stream", "sublayer"] = Field(
        "stream", description="on the residual stream after a sub-layer, or on the sub-layer's own output"
    )
    activation: Literal["gelu_new", "gelu", "relu", "silu", "tanh"] = Field(
        "gelu_new", description="between the two projections"
    )


def _build(offered: Inventory, request: Request[AdapterOptions]) -> Iterator[Site]:
    options = request.options
    places = (place for place in offered.places_of(options.placement) if place.role != "cross")
    return (bottleneck(place, options.bottleneck, options.activation, biases=True) for place in places)


ADAPTER = Method(
    name="adapter",
    version=1,
    reference="Houlsby et al. 2019; bottleneck 24, placed as in Su et al. 2023's released code",
    operations=("plug",),
    formula="f(h) + act(f(h) W_down) W_up",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="adapter",
    build=_build,
    options=AdapterOptions,
)
