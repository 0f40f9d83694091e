"""LoKr: KronA whose larger factor has a low rank (Yeh et al. 2024), which Lialin et al. (2024) ran as KronA.

As in HF PEFT, B has the rank r where r is less than half of B's longer side, and is whole elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Options, Positive, Request, Whole
from petscale.tuning.methods.products import product
from petscale.tuning.plan import Site


class LokrOptions(Options):
    """The options of LoKr."""

    rank: Whole = Field(8, description="rank of the larger factor, r in HF PEFT")
    alpha: Positive = Field(8, description="the branch is scaled by alpha / rank, also where the factor is whole")
    targets: Names = Field(
        ("*.q", "*.v"), description="roles of the linear layers that get a branch, shell-style patterns allowed"
    )


def _build(offered: Inventory, request: Request[LokrOptions]) -> Iterator[Site]:
    rank, scale = request.options.rank, request.options.alpha / request.options.rank
    places = offered.branches(request.options.targets, f"{request.method} targets")
    return (product(place, scale, rank) for place in places)


LOKR = Method(
    name="lokr",
    version=1,
    reference="Yeh et al. 2024; r 8, alpha 8 on q and v as in Lialin et al. 2024 (their KronA); equal to HF PEFT's",
    operations=("concat",),
    formula="f(h) + (alpha / r) (A (x) B_up B_down) h",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="lokr",
    build=_build,
    options=LokrOptions,
)
