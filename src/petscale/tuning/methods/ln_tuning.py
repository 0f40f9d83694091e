"""LN tuning: trains the normalisations (Lialin et al. 2024, Table 5).

T5's norms have scales only; those of BERT also have biases.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Options, Request
from petscale.tuning.methods.norms import norms
from petscale.tuning.plan import Site


class LnOptions(Options):
    """The options of LN tuning."""

    biases: bool = Field(True, description="train the biases of the normalisations too, where there are any")


def _build(offered: Inventory, request: Request[LnOptions]) -> Iterator[Site]:
    return norms(offered, biases=request.options.biases)


LN_TUNING = Method(
    name="ln-tuning",
    version=1,
    reference="Lialin et al. 2024, LN tuning; equal to HF PEFT's",
    operations=("add",),
    formula="(g + g1) (.) norm(h) + b + b1",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="ln-tuning",
    build=_build,
    options=LnOptions,
)
