"""Adapters: a bottleneck after self-attention and after the feed-forward network (Houlsby et al. 2019).

As published in Su et al. (equation 13, bottleneck 24) and as released: on the residual stream after each of the two
sub-layers, none after cross-attention, drawn with standard deviation 0.01, so close to the identity but not at it
(facts 1.3). `placement: sublayer` is Houlsby's own place, inside the residual sum.
"""

from __future__ import annotations

from collections.abc import Iterator

from petscale.errors import BadInput
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.plan import Site
from petscale.tuning.sites import bottleneck

ACTIVATIONS = ("gelu_new", "gelu", "relu", "silu", "tanh")


def _build(offered: Inventory, request: Request) -> Iterator[Site]:
    width, placement = request.whole("bottleneck"), request.options["placement"]
    activation = request.options["activation"]
    if placement not in ("stream", "sublayer"):
        raise BadInput(f"{request.method}: option placement: {placement!r} is neither stream nor sublayer")
    if activation not in ACTIVATIONS:
        raise BadInput(f"{request.method}: option activation: {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    places = (place for place in offered.places_of(placement) if place.role != "cross")
    return (bottleneck(place, width, activation, biases=True) for place in places)


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
    options={"bottleneck": 24, "placement": "stream", "activation": "gelu_new"},
)
