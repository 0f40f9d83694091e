"""The MAM adapter: prefixes and parallel adapters together (He et al. 2022).

The paper's counts of Lialin et al. (2024) differ: that for T5-3B is T5-large's, and that for T5-11B has `middle: 512`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import LATER, Method, Positive, Request, Whole
from petscale.tuning.methods.parallel_adapter import parallel_adapters
from petscale.tuning.methods.prefixes import GeneratedOptions, generated
from petscale.tuning.methods.tensors import LEARNS, Learned
from petscale.tuning.plan import Site, Trained


class MamOptions(GeneratedOptions):
    """The options of the two parts."""

    middle: Whole = Field(800, description="width of the hidden layer of the network that makes the prefixes")
    reduction: Whole = Field(2, description="width of the hidden states / width of the bottleneck")
    scale: Positive | Literal["learned"] = Field("learned", description="constant on the adapter's output, or learned")
    learns: Learned = Field("difference", description=LEARNS, json_schema_extra=LATER)


def _build(offered: Inventory, request: Request[MamOptions]) -> Iterator[Site | Trained]:
    yield from generated(offered, request.method, request.options)
    options = request.options
    yield from parallel_adapters(offered, options.reduction, options.scale, options.learns)


MAM = Method(
    name="mam",
    version=1,
    reference="He et al. 2022; prefixes of 30 with middle width 800, reduction 2 as in Lialin et al. 2024",
    operations=("concat-keys", "plug"),
    formula="[P_K; K], [P_V; V]; h + f(h) + s relu(h W_down) W_up",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="mam",
    build=_build,
    options=MamOptions,
)
