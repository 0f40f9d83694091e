"""Houlsby's adapters as Lialin et al. (2024) ran them, with the adapters library's `DoubleSeqBnConfig`.

A bottleneck on the output of every self-attention and feed-forward network, inside the residual sum, but not after
cross-attention. The method `adapter` has the settings of Su et al. instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Positive, Request, Whole
from petscale.tuning.methods.bottlenecks import LIBRARY_STD, reduced, serial
from petscale.tuning.methods.norms import NormsOptions, and_norms
from petscale.tuning.plan import Site


class HoulsbyOptions(NormsOptions):
    """The options of Houlsby's adapters."""

    reduction: Whole = Field(16, description="width of the hidden states / width of the bottleneck")
    std: Positive = Field(LIBRARY_STD, description="standard deviation of the matrices at the start")


def _build(offered: Inventory, request: Request[HoulsbyOptions]) -> Iterator[Site]:
    width = reduced(offered.shape.d_model, request.options.reduction)
    for place in offered.places_of("sublayer"):
        if place.role != "cross":
            yield serial(place, width, "silu", std=request.options.std)


HOULSBY = Method(
    name="houlsby",
    version=1,
    reference="Houlsby et al. 2019; reduction 16 and swish as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("plug", "add"),
    formula="f(h) + swish(f(h) W_down) W_up",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="houlsby",
    build=and_norms(_build),
    options=HoulsbyOptions,
)
