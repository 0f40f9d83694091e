"""Compacter: Houlsby's adapters with matrices of Kronecker products, whose rules all of them share.

The released code also trains the normalisations (`norms: true`), which Lialin et al. (2024) do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.methods.hypercomplex import CompacterOptions, with_shared_rule
from petscale.tuning.methods.norms import and_norms
from petscale.tuning.plan import Site, Trained


def _build(offered: Inventory, request: Request[CompacterOptions]) -> Iterator[Site | Trained]:
    places = [place for place in offered.places_of("sublayer") if place.role != "cross"]
    return with_shared_rule(offered, request, places)


COMPACTER = Method(
    name="compacter",
    version=1,
    reference="Karimi Mahabadi et al. 2021; reduction 32, n 4, rank 1 as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("plug", "add"),
    formula="f(h) + gelu(f(h) W_down) W_up, W = sum_j R_j (x) u_j v_j^T",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="compacter",
    build=and_norms(_build),
    options=CompacterOptions,
)
