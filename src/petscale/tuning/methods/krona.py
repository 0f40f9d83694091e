"""KronA: a branch A (x) B beside a linear layer (Edalati et al. 2022).

A and B are whole, with the factors of the two widths that are nearest to their roots, the larger ones in B. They are on
q and v of every attention, as for LoRA in Lialin et al. (2024). What the table there calls KronA is `lokr`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Options, Positive, Request
from petscale.tuning.methods.products import product
from petscale.tuning.plan import Site


class KronaOptions(Options):
    """The options of KronA."""

    scale: Positive = Field(1, description="constant by which the branch is multiplied")
    targets: Names = Field(
        ("*.q", "*.v"), description="roles of the linear layers that get a branch, shell-style patterns allowed"
    )


def _build(offered: Inventory, request: Request[KronaOptions]) -> Iterator[Site]:
    places = offered.branches(request.options.targets, f"{request.method} targets")
    return (product(place, request.options.scale) for place in places)


KRONA = Method(
    name="krona",
    version=1,
    reference="Edalati et al. 2022; places as in Lialin et al. 2024",
    operations=("concat",),
    formula="f(h) + s (A (x) B) h",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="krona",
    build=_build,
    options=KronaOptions,
)
