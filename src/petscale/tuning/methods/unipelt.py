"""UniPELT: LoRA, prefixes and adapters, each behind a gate (Mao et al. 2022).

The parts are those of Lialin et al. (2024): LoRA on q and v of every attention, a prefix in every attention, and
Pfeiffer's adapters. The gate of LoRA takes the place of its scale. By default a gate belongs to a token; that of the
released code averages over the sequence, which looks ahead in a decoder (`over: sequence`). The paper's count for
T5-11B is that of another method, with Houlsby's adapters and without LoRA.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Positive, Request, Whole
from petscale.tuning.methods.bottlenecks import LIBRARY_STD, reduced, serial
from petscale.tuning.methods.prefixes import GeneratedOptions, generated
from petscale.tuning.methods.tensors import gate
from petscale.tuning.plan import Site, Trained
from petscale.tuning.sites import branch


class UnipeltOptions(GeneratedOptions):
    """The options of the three parts and of their gates."""

    tokens: Whole = Field(10, description="keys and values added to every attention")
    rank: Whole = Field(8, description="width of the branches of LoRA")
    targets: Names = Field(
        ("*.q", "*.v"), description="roles of the linear layers that get a branch, shell-style patterns allowed"
    )
    reduction: Whole = Field(16, description="width of the hidden states / width of the bottleneck")
    std: Positive = Field(LIBRARY_STD, description="standard deviation of the adapters' matrices at the start")
    over: Literal["token", "sequence"] = Field(
        "token", description="a gate for each token, or the mean over the sequence, which looks ahead in a decoder"
    )


def _build(offered: Inventory, request: Request[UnipeltOptions]) -> Iterator[Site | Trained]:
    options = request.options
    for place in offered.branches(options.targets, f"{request.method} targets"):
        site = branch(place, options.rank, 1.0)
        tensors = (*site.tensors, *gate(place.width_in, dead=place.dead))
        yield replace(site, tensors=tensors, settings={**site.settings, "gate": options.over})
    yield from generated(offered, request.method, options, options.over)
    width = reduced(offered.shape.d_model, options.reduction)
    for place in offered.places_of("stream", "ffn"):
        yield serial(place, width, "relu", std=options.std, gate_over=options.over)


UNIPELT = Method(
    name="unipelt",
    version=1,
    reference="Mao et al. 2022; parts and sizes as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("concat", "concat-keys", "plug"),
    formula="f(h) + g h W_down W_up; [g P_K; K], [g P_V; V]; h + f(h) + g relu((h + f(h)) W_down) W_up; g = s(h w + c)",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="unipelt",
    build=_build,
    options=UnipeltOptions,
)
