"""LoRA: a low-rank branch beside a linear layer (Hu et al. 2022; Su et al. equation 12).

As published in Su et al., the rank is 8 and alpha is 16, on q and v of self-attention only. The scale is alpha / rank,
as in Hu et al. and in the released code; equation 12 omits the division.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Options, Positive, Request, Whole
from petscale.tuning.plan import Site
from petscale.tuning.sites import branch


class LoraOptions(Options):
    """The options of LoRA: size, scale and place of the branch."""

    rank: Whole = Field(8, description="width of the branch, r in the paper")
    alpha: Positive = Field(16, description="the branch is scaled by alpha / rank")
    targets: Names = Field(
        ("self.q", "self.v"), description="roles of the linear layers that get a branch, shell-style patterns allowed"
    )


def _build(offered: Inventory, request: Request[LoraOptions]) -> Iterator[Site]:
    rank = request.options.rank
    scale = request.options.alpha / rank
    places = offered.branches(request.options.targets, f"{request.method} targets")
    return (branch(place, rank, scale) for place in places)


LORA = Method(
    name="lora",
    version=1,
    reference="Hu et al. 2022; r 8, alpha 16 on q and v of self-attention as in Su et al. 2023",
    operations=("concat",),
    formula="f(h) + (alpha / r) h W_down W_up",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="lora",
    build=_build,
    options=LoraOptions,
)
