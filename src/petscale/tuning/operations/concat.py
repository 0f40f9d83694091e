"""concat: f(h) + scale * h W_down W_up, a branch beside a linear layer (Su et al. equations 12 and 15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
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

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> Reach | None:
        return Reach(f"{site.module}.weight", parametrisation(site).reach(tensors))

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        made, scale = parametrisation(site), float(site.settings["scale"])

        def change(h: Tensor, output: Tensor) -> Tensor:
            return output + made.apply(h.to(output.dtype), in_dtype(values, output.dtype), scale=scale)

        return on_output(host.module(site.module), change)

    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """The branch is computed as a change of the layer's matrix, as an independent reference."""
        weights.add(existing(host, site, "weight"), self._matrix(site, values))
        return []

    def refusal(self, host: Host, site: Site) -> str | None:
        return None if host.parameter(site.module, "weight") is not None else f"{site.module} has no weight"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        weight, change = existing(host, site, "weight"), self._matrix(site, values)
        weight.copy_(weight.to(change.dtype) + change)

    def _matrix(self, site: Site, values: Values) -> Tensor:
        """The branch as a change of the layer's matrix ``(out, in)``."""
        return float(site.settings["scale"]) * parametrisation(site).make(values)

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """The format of LoRA, for pairs of factors that all have the same rank and scale."""
        from petscale.tuning.operations.peft import PeftFiles, whole

        if any([tensor.key for tensor in site.tensors] != ["down", "up"] for site in plan.sites):
            return None
        ranks = {site.tensors[0].shape[0] for site in plan.sites}
        scales = {float(site.settings["scale"]) for site in plan.sites}
        if len(ranks) != 1 or len(scales) != 1:
            return None
        (rank,), (scale,) = ranks, scales
        config = {
            "peft_type": "LORA",
            "r": rank,
            "lora_alpha": scale * rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": [site.module for site in plan.sites],
        }
        tensors = {}
        for site in plan.sites:
            down, up = (whole(named, values) for named in plan.tensors_of(site).values())
            tensors[f"base_model.model.{site.module}.lora_A.weight"] = down
            tensors[f"base_model.model.{site.module}.lora_B.weight"] = up.T
        return PeftFiles(config, tensors)
