"""add: W + W1 (.) m1 in a weight of the backbone (Su et al. equation 14, on a weight); see petscale.tuning.live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.errors import BadInput
from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.operations.hooks import Handle, Values
from petscale.tuning.operations.operation import Attachment, Operation, Weights, parametrisation
from petscale.tuning.reach import Reach
from petscale.tuning.site import Named, Site

if TYPE_CHECKING:
    from torch import Tensor, nn

    from petscale.tuning.block import Block
    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan

_MATRICES = ("self.", "cross.", "ffn.")  # roles whose weights are those of linear layers


class Add(Operation):
    """The setting `tensor` names the module's parameter; `delta` has its shape.

    If `delta` starts from the backbone's values, it is the new value of the weight, and otherwise a difference.
    """

    name = "add"

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        """The entries of the mask in the weight that is trained in place."""
        weight = f"{site.module}.{site.settings['tensor']}"
        made = parametrisation(site)
        return (Reach(weight, made.reach(tensors, "delta"), made.rank(tensors, "delta")),)

    def trains(self, host: Host, site: Site) -> nn.Parameter:
        """The weight of the backbone whose entries are trained."""
        found = host.parameter(site.module, str(site.settings["tensor"]))
        assert found is not None, "check has seen it"
        return found

    def check(self, host: Host, site: Site) -> None:
        """Check that the weight exists with the shape of the plan.

        Raises:
            BadInput: the module or its tensor is missing, or has another shape.
        """
        super().check(host, site)
        found = host.parameter(site.module, str(site.settings["tensor"]))
        shape, wanted = None if found is None else tuple(found.shape), site.tensors[0].shape
        if shape != wanted:
            raise BadInput(f"plan: {site.name} has shape {wanted}, the model has {shape}; another backbone")

    def attach(self, host: Host, site: Site, blocks: Mapping[str, Block]) -> Attachment:
        """The weight in the model is changed in place; modules that use it send their gradients to the block."""
        from petscale.tuning.live import LiveWeight

        weight = self.trains(host, site)
        return LiveWeight(weight, blocks["delta"], host.users[id(weight)])

    def applied(self, host: Host, site: Site, values: Values, weights: Weights) -> list[Handle]:
        """The changed weight is formed as a dense tensor."""
        weight, value = self.trains(host, site), parametrisation(site).make(values, "delta")
        if site.tensors[0].start == "origin":
            weights.replace(weight, value)
        else:
            weights.add(weight, value)
        return []

    def refusal(self, host: Host, site: Site) -> None:
        """None: the change is in the weight already."""

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Nothing has to be done, because the weight in the model already contains the change."""

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """The format of LN tuning for whole normalisations, and of SHiRA for masked entries of linear layers.

        A layer of SHiRA has r (m + n) entries, so each is padded with entries of value zero.
        """
        import torch

        from petscale.tuning.operations.peft import PeftFiles

        if plan.sites and all(_whole_norm(site) for site in plan.sites):
            modules = list(dict.fromkeys(site.module for site in plan.sites))
            prefix = "base_model.model.{}.ln_tuning_layers.{}"
            tensors = {
                prefix.format(site.module, site.settings["tensor"]): values[site.key(site.tensors[0])]
                for site in plan.sites
            }
            return PeftFiles({"peft_type": "LN_TUNING", "target_modules": modules}, tensors)
        if not all(_masked_matrix(site) for site in plan.sites):
            return None
        rank = max(-(-site.count // sum(site.tensors[0].shape)) for site in plan.sites)
        tensors = {}
        for site in plan.sites:
            (named,) = plan.tensors_of(site).values()
            rows, columns = named.tensor.shape
            if rank * (rows + columns) > rows * columns:
                return None
            entries = torch.from_numpy(named.indices())
            room = rank * (rows + columns) - len(entries)
            flat = torch.cat([entries, entries.new_zeros(room)])
            value = values[named.key]
            prefix = f"base_model.model.{site.module}"
            tensors[f"{prefix}.shira_indices"] = torch.stack([flat // columns, flat % columns]).int()
            tensors[f"{prefix}.shira_weight"] = torch.cat([value, value.new_zeros(room)])
        modules = [site.module for site in plan.sites]
        return PeftFiles({"peft_type": "SHIRA", "r": rank, "mask_type": "random", "target_modules": modules}, tensors)


def _whole_norm(site: Site) -> bool:
    return site.role in ("norm", "norm.bias") and site.tensors[0].start == "origin"


def _masked_matrix(site: Site) -> bool:
    linear = site.role.startswith(_MATRICES) and site.settings["tensor"] == "weight"
    return linear and site.tensors[0].start == "zeros"
