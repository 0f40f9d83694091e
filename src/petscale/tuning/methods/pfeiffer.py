"""Pfeiffer's adapters as Lialin et al. (2024) ran them, with the adapters library's `SeqBnConfig`.

One bottleneck after every feed-forward network. It reads the residual sum and adds to it, as the library does on T5.
(In the code of Compacter, an adapter of this name stands after self-attention.) On BERT it acts on what a block passes
on. The library adds there before the last normalisation, which it applies twice, so functions differ; counts are equal.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Positive, Request, Whole
from petscale.tuning.methods.bottlenecks import LIBRARY_STD, reduced, serial
from petscale.tuning.methods.norms import NormsOptions, and_norms
from petscale.tuning.plan import Site


class PfeifferOptions(NormsOptions):
    """The options of Pfeiffer's adapters."""

    reduction: Whole = Field(16, description="width of the hidden states / width of the bottleneck")
    std: Positive = Field(LIBRARY_STD, description="standard deviation of the matrices at the start")


def _build(offered: Inventory, request: Request[PfeifferOptions]) -> Iterator[Site]:
    width = reduced(offered.shape.d_model, request.options.reduction)
    places = offered.places_of("stream", "ffn")
    return (serial(place, width, "relu", std=request.options.std) for place in places)


PFEIFFER = Method(
    name="pfeiffer",
    version=1,
    reference="Pfeiffer et al. 2021; reduction 16 and ReLU as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("plug", "add"),
    formula="h + f(h) + relu((h + f(h)) W_down) W_up",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="pfeiffer",
    build=and_norms(_build),
    options=PfeifferOptions,
)
