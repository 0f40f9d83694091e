"""PHM adapters: Houlsby's adapters with matrices of Kronecker products, each with its own rules."""

from __future__ import annotations

from collections.abc import Iterator

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.methods.hypercomplex import HypercomplexOptions, with_own_rules
from petscale.tuning.methods.norms import and_norms
from petscale.tuning.plan import Site


def _build(offered: Inventory, request: Request[HypercomplexOptions]) -> Iterator[Site]:
    places = [place for place in offered.places_of("sublayer") if place.role != "cross"]
    return with_own_rules(offered, request, places)


PHM = Method(
    name="phm",
    version=1,
    reference="Zhang et al. 2021, as the PHM adapter of Karimi Mahabadi et al. 2021 in adapters 1.3.0",
    operations=("plug", "add"),
    formula="f(h) + gelu(f(h) W_down) W_up, W = sum_j R_j (x) B_j",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="phm",
    build=and_norms(_build),
    options=HypercomplexOptions,
)
