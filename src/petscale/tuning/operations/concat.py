"""concat: f(h) + scale * h W_down W_up, a branch beside a linear layer (Su et al. equations 12 and 15).

A gate may multiply the branch, which then cannot be merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.operations.gate import gate_of, gated
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_output
from petscale.tuning.operations.operation import Insertion, Weights, existing, parametrisation
from petscale.tuning.reach import Reach
from petscale.tuning.site import Named, Site

if TYPE_CHECKING:
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


class Concat(Insertion):
    """The site's parametrisation makes one matrix ``(out, in)``, which is multiplied by the setting `scale`."""

    name = "concat"

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        """The entries of the layer's weight that the branch changes; none with a gate, which depends on the input."""
        if gated(site):
            return ()
        made = parametrisation(site)
        return (Reach(f"{site.module}.weight", made.reach(tensors), made.rank(tensors)),)

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Add the branch to the output of the linear layer (Su et al., equation 12)."""
        made, scale = parametrisation(site), float(site.settings["scale"])

        def change(h: Tensor, output: Tensor) -> Tensor:
            h, factors = h.to(output.dtype), in_dtype(values, output.dtype)
            added = made.apply(h, factors, scale=scale)
            return output + (added * gate_of(site, h, factors) if gated(site) else added)

        return on_output(host.module(site.module), change)

    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """The branch is computed as a change of the layer's matrix, as an independent reference, unless it is gated."""
        if gated(site):
            return self.insert(host, site, values)
        weights.add(existing(host, site, "weight"), self._matrix(site, values))
        return []

    def refusal(self, host: Host, site: Site) -> str | None:
        """Why the branch cannot be merged: it has a gate, or the module has no weight. None if it can."""
        if gated(site):
            return f"its gate in {site.module} depends on the input"
        return None if host.parameter(site.module, "weight") is not None else f"{site.module} has no weight"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Add the matrix of the branch to the weight of the layer."""
        weight, change = existing(host, site, "weight"), self._matrix(site, values)
        weight.copy_(weight.to(change.dtype) + change)

    def _matrix(self, site: Site, values: Values) -> Tensor:
        """The branch as a change of the layer's matrix ``(out, in)``."""
        return float(site.settings["scale"]) * parametrisation(site).make(values)

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """The format that PEFT has for branches of the site's parametrisation, if all have the same scale."""
        scales = {float(site.settings["scale"]) for site in plan.sites}
        if len(scales) != 1 or any(gated(site) or site.uses for site in plan.sites):
            return None
        return parametrisation(plan.sites[0]).branches_in_peft(plan, values, scales.pop())
