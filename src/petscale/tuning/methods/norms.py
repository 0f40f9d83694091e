"""The backbone's normalisations, which the released code of several methods trains beside their own tensors.

The repositories of Compacter and T-Few do so for adapters, Compacter and LoRA; Lialin et al. (2024) do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import Field

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import LATER, Options, Request
from petscale.tuning.site import Site, Trained
from petscale.tuning.sites import whole_weight

Build = Callable[[Inventory, Request[Any]], Iterable[Site | Trained]]


class NormsOptions(Options):
    """The option of methods that may train the normalisations too."""

    norms: bool = Field(
        False, description="train the normalisations too, as some released code does", json_schema_extra=LATER
    )


def norms(offered: Inventory, *, biases: bool = True) -> Iterator[Site]:
    """Sites that train the scales of all normalisations, and their biases where there are any."""
    roles = ("norm", "norm.bias") if biases else ("norm",)
    return (whole_weight(weight) for weight in offered.weights if weight.role in roles)


def and_norms(build: Build) -> Build:
    """A method's `build` whose options are also `NormsOptions`."""

    def built(offered: Inventory, request: Request[Any]) -> Iterator[Site | Trained]:
        yield from build(offered, request)
        if request.options.norms:
            yield from norms(offered)

    return built
