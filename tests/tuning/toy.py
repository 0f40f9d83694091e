"""An operation and a method that src/ does not contain: a module's output is multiplied by a trained vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Names, Options, Request
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_output
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.reach import Entries, Reach
from petscale.tuning.site import Named, Site, Trained
from petscale.tuning.sites import DENSE


class ScaleHidden(Insertion):
    """f(h) (.) (1 + w), with `scale` ``(width,)``; on a linear layer without a bias it can be merged."""

    name = "scale-hidden"

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        made = parametrisation(site)

        def change(_h: Tensor, output: Tensor) -> Tensor:
            return output + output * made.make(in_dtype(values, output.dtype), "scale")

        return on_output(host.module(site.module), change)

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        if f"{site.module}.bias" in offered.names:
            return ()
        weight = next(weight for weight in offered.weights if weight.name == f"{site.module}.weight")
        return (Reach(weight.name, Entries(weight.size, lambda: np.arange(weight.size))),)

    def refusal(self, host: Host, site: Site) -> str | None:
        return None if host.parameter(site.module, "bias") is None else f"{site.module} has a bias"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        weight = host.parameter(site.module, "weight")
        assert weight is not None
        weight += weight * parametrisation(site).make(values, "scale")[:, None]


class ScaleOptions(Options):
    """Where the toy method acts."""

    targets: Names = ("self.v",)


def _build(offered: Inventory, request: Request[ScaleOptions]) -> Iterator[Site]:
    for place in offered.places_of("branch"):
        if place.role in request.options.targets:
            tensor = Trained("scale", (place.width_out,), DENSE, "zeros", 0 if place.dead else place.width_out)
            yield Site(f"scale-hidden:{place.module}", place.module, "scale-hidden", "plain", place.role, (tensor,))


SCALING = Method(
    name="scaling",
    version=1,
    reference="none: a toy",
    operations=("scale-hidden",),
    formula="f(h) (.) (1 + w)",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="scaling",
    build=_build,
    options=ScaleOptions,
)
