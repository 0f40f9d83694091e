"""Prefix tuning without a network: keys and values are trained themselves (Liu et al. 2022, P-tuning v2).

Lialin et al. (2024) call it prompt tuning, which it is not: the method `prompt` puts vectors into the input sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Positive, Request
from petscale.tuning.methods.prefixes import PrefixOptions, flat
from petscale.tuning.plan import Site


class FlatOptions(PrefixOptions):
    """The options of flat prefixes."""

    std: Positive = Field(1, description="standard deviation at the start; 1 in adapters 1.3.0")


def _build(offered: Inventory, request: Request[FlatOptions]) -> Iterator[Site]:
    return flat(offered, request.method, request.options, request.options.std)


PREFIX_FLAT = Method(
    name="prefix-flat",
    version=1,
    reference="Liu et al. 2022 (P-tuning v2); 30 tokens as Lialin et al. 2024 ran it under the name prompt tuning",
    operations=("concat-keys",),
    formula="[P_K; K], [P_V; V]",
    structure="dense",
    identity_at_start=False,
    learning_rate_key="prefix-flat",
    build=_build,
    options=FlatOptions,
)
