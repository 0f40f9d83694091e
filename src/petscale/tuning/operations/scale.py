"""scale: f(h) (.) (1 + w) on a module's output, or f(h (.) (1 + w)) on its input (Lialin et al. section 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_input, on_output
from petscale.tuning.operations.operation import Insertion, existing, parametrisation
from petscale.tuning.reach import Entries, Reach
from petscale.tuning.site import Named, Site

if TYPE_CHECKING:
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


class Scale(Insertion):
    """`scale` is w, ``(width,)``; the setting `at` says whether it scales the `output` or the `input`.

    The products h and h (.) w are added, because 1 + w would be rounded to 1 in bfloat16 while w is small. With the
    setting `learns: factor`, `scale` is 1 + w itself.
    """

    name = "scale"

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Multiply the output, or the input, of the module by the trained vector ((IA)^3)."""
        made, module = parametrisation(site), host.module(site.module)

        def scaled(h: Tensor) -> Tensor:
            by = h * made.make(in_dtype(values, h.dtype), "scale")
            return by if learns_factor(site) else h + by

        if _reads_input(site):
            return on_input(module, scaled)
        return on_output(module, lambda _h, output: scaled(output))

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        """The rows of the weight with the bias, or its columns, that belong to trained entries of w.

        A diagonal factor has a rank of as many as it has entries, so the change of the weight can have it too.
        """
        sizes = {weight.name: weight.shape for weight in offered.weights if weight.module == site.module}
        weight, bias = f"{site.module}.weight", f"{site.module}.bias"
        if weight not in sizes:
            return ()
        vector, (out, inside) = parametrisation(site).reach(tensors, "scale"), sizes[weight]
        if _reads_input(site):
            return (Reach(weight, Entries(vector.count * out, lambda: _columns(vector, out, inside)), vector.count),)
        rows = Reach(weight, Entries(vector.count * inside, lambda: _rows(vector, inside)), vector.count)
        return (rows, Reach(bias, vector)) if bias in sizes else (rows,)

    def refusal(self, host: Host, site: Site) -> str | None:
        """Why the vector cannot be merged: the module has no weight. None if it has one."""
        return None if host.parameter(site.module, "weight") is not None else f"{site.module} has no weight"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Multiply rows (with the bias) or columns of the weight by the trained vector."""
        weight, change = existing(host, site, "weight"), parametrisation(site).make(values, "scale")
        if learns_factor(site):
            change = change - 1
        weight.add_(weight * (change if _reads_input(site) else change[:, None]))
        bias = host.parameter(site.module, "bias")
        if bias is not None and not _reads_input(site):
            bias.add_(bias * change)

    def export(self, plan: Plan, values: Mapping[str, Tensor]) -> PeftFiles | None:
        """The format of IA3, which stores 1 + w; layers whose input is scaled are its feed-forward modules."""
        from petscale.tuning.operations.peft import PeftFiles, whole

        tensors = {}
        for site in plan.sites:
            if [tensor.key for tensor in site.tensors] != ["scale"]:
                return None
            factor = whole(plan.tensors_of(site)["scale"], values)
            if not learns_factor(site):
                factor = 1 + factor
            tensors[f"base_model.model.{site.module}.ia3_l"] = factor[None] if _reads_input(site) else factor[:, None]
        config: dict[str, Any] = {
            "peft_type": "IA3",
            "target_modules": [site.module for site in plan.sites],
            "feedforward_modules": [site.module for site in plan.sites if _reads_input(site)],
            "fan_in_fan_out": False,
        }
        return PeftFiles(config, tensors)


def learns_factor(site: Site) -> bool:
    """Whether a learned scale of the site is the factor itself, and not its difference to 1."""
    return bool(site.settings.get("learns") == "factor")


def _reads_input(site: Site) -> bool:
    return bool(site.settings["at"] == "input")


def _rows(vector: Entries, width: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return (vector.positions()[:, None] * width + np.arange(width)).ravel()


def _columns(vector: Entries, out: int, width: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return (np.arange(out)[:, None] * width + vector.positions()).ravel()
