"""Compacter++: Compacter with one adapter in a block, where Pfeiffer's stands: after the feed-forward network."""

from __future__ import annotations

from collections.abc import Iterator

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.methods.hypercomplex import CompacterOptions, with_shared_rule
from petscale.tuning.methods.norms import and_norms
from petscale.tuning.plan import Site, Trained


def _build(offered: Inventory, request: Request[CompacterOptions]) -> Iterator[Site | Trained]:
    places = offered.places_of("stream", "ffn")
    return with_shared_rule(offered, request, places)


COMPACTER_PLUS = Method(
    name="compacter-plus",
    version=1,
    reference="Karimi Mahabadi et al. 2021 (Compacter++); settings as in Lialin et al. 2024 and adapters 1.3.0",
    operations=("plug", "add"),
    formula="h + f(h) + gelu((h + f(h)) W_down) W_up, W = sum_j R_j (x) u_j v_j^T",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="compacter-plus",
    build=and_norms(_build),
    options=CompacterOptions,
)
