"""The scaled parallel adapter (He et al. 2022), as in the adapters library's `ParBnConfig`.

A bottleneck beside every feed-forward network, on the network's input before its normalisation. Lialin et al. (2024)
let the scale be learned from 1 on; with `scale: 4.0` it is the constant of He et al. In bfloat16, a learned scale of 1
does not move (`learns: factor` and `masters: bfloat16`); by default its difference to 1 is learned, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import LATER, Method, Options, Positive, Request, Whole
from petscale.tuning.methods.bottlenecks import parallel, reduced
from petscale.tuning.methods.tensors import LEARNS, Learned
from petscale.tuning.plan import Site


class ParallelOptions(Options):
    """The options of the parallel adapter."""

    reduction: Whole = Field(2, description="width of the hidden states / width of the bottleneck")
    scale: Positive | Literal["learned"] = Field("learned", description="constant on the adapter's output, or learned")
    learns: Learned = Field("difference", description=LEARNS, json_schema_extra=LATER)


def parallel_adapters(
    offered: Inventory, reduction: int, scale: float | Literal["learned"], learns: Learned
) -> Iterator[Site]:
    """The adapters of a backbone; methods that combine several use them too."""
    width = reduced(offered.shape.d_model, reduction)
    for place in offered.places_of("parallel", "ffn"):
        yield parallel(place, width, "relu", None if scale == "learned" else scale, learns)


def _build(offered: Inventory, request: Request[ParallelOptions]) -> Iterator[Site]:
    options = request.options
    return parallel_adapters(offered, options.reduction, options.scale, options.learns)


PARALLEL_ADAPTER = Method(
    name="parallel-adapter",
    version=1,
    reference="He et al. 2022; reduction 2, ReLU and a learned scale as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("plug",),
    formula="h + f(h) + s relu(h W_down) W_up",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="parallel-adapter",
    build=_build,
    options=ParallelOptions,
)
