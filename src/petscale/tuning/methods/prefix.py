"""Prefix tuning, whose keys and values a network makes while it is trained (Li and Liang 2021).

In every attention, cross-attention included. After training, the network can be replaced by the keys and values that it
makes, which `deployed` counts. Lialin et al. (2024) ran it with the positions of adapters 1.3.0, which move every real
distance on T5: that is `positions: shifted`. The paper's count for T5-3B has 10 tokens and takes `inner` for the width
of the hidden states.
"""

from __future__ import annotations

from collections.abc import Iterator

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.methods.prefixes import GeneratedOptions, generated
from petscale.tuning.plan import Site, Trained


def _build(offered: Inventory, request: Request[GeneratedOptions]) -> Iterator[Site | Trained]:
    return generated(offered, request.method, request.options)


PREFIX = Method(
    name="prefix",
    version=1,
    reference="Li and Liang 2021; 30 tokens and middle width 512 in every attention as in Lialin et al. 2024",
    operations=("concat-keys",),
    formula="[P_K; K], [P_V; V] with P = tanh(E W_1 + b_1) W_2 + b_2",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="prefix",
    build=_build,
    options=GeneratedOptions,
)
