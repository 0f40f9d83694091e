"""(IA)^3: scales keys, values and the hidden states of the feed-forward networks (Liu et al. 2022).

A vector l multiplies the output of every k and v, and the input of the second feed-forward matrix. There it acts after
the activation, also in a gated network. Trained is w = l - 1, so weight decay pulls l towards 1. In HF PEFT, which
trains l (`learns: factor`), it pulls towards 0. In bfloat16, no step below 0.002 moves an l of 1, so that with
`learns: factor` and `masters: bfloat16`, as Lialin et al. (2024) ran it, nothing is trained at usual rates.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from petscale.families.parts import Place
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import LATER, Method, Names, Options, Request
from petscale.tuning.methods.tensors import LEARNS, Learned, scale
from petscale.tuning.plan import Site


class Ia3Options(Options):
    """The options of (IA)^3: the layers whose outputs or inputs are scaled."""

    outputs: Names = Field(("*.k", "*.v"), description="roles of the linear layers whose output is scaled")
    inputs: Names = Field(("ffn.down",), description="roles of the linear layers whose input is scaled")
    learns: Learned = Field("difference", description=LEARNS, json_schema_extra=LATER)


def _build(offered: Inventory, request: Request[Ia3Options]) -> Iterator[Site]:
    places = offered.places_of("branch")
    known = [place.role for place in places]
    outputs = offered.expand(request.options.outputs, known, f"{request.method} outputs")
    inputs = offered.expand(request.options.inputs, known, f"{request.method} inputs")
    for place in places:
        if place.role in outputs:
            yield _scale(place, "output", place.width_out, request.options.learns)
        if place.role in inputs:
            yield _scale(place, "input", place.width_in, request.options.learns)


def _scale(place: Place, at: str, width: int, learns: Learned) -> Site:
    name = f"scale-{at}:{place.module}"
    tensor, settings = scale(width, learns, dead=place.dead)
    return Site(name, place.module, "scale", "plain", place.role, (tensor,), {"at": at, **settings})


IA3 = Method(
    name="ia3",
    version=1,
    reference="Liu et al. 2022 (T-Few), as in Lialin et al. 2024; equal to HF PEFT's",
    operations=("scale",),
    formula="f(h) (.) (1 + w) on k and v, f(h (.) (1 + w)) on the second feed-forward matrix",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="ia3",
    build=_build,
    options=Ia3Options,
)
