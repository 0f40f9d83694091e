"""add-hidden: f(h) + W1 (.) m1, a vector on a module's output (Su et al. equation 14, as BitFit's equation 11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from petscale.tuning.host import Host
from petscale.tuning.inventory import Inventory
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_output
from petscale.tuning.operations.operation import Insertion, existing, parametrisation
from petscale.tuning.reach import Reach
from petscale.tuning.site import Named, Site

if TYPE_CHECKING:
    from torch import Tensor


class AddHidden(Insertion):
    """`delta` is ``(width,)``; if the module's output is wider, its first entries are changed."""

    name = "add-hidden"

    def reach(self, site: Site, tensors: Mapping[str, Named], offered: Inventory) -> tuple[Reach, ...]:
        """The bias of the module, if it has one; otherwise the vector cannot be merged."""
        bias = f"{site.module}.bias"
        return (Reach(bias, parametrisation(site).reach(tensors, "delta")),) if bias in offered.names else ()

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Add the vector ``(width,)`` to the output of the module (Su et al., equation 11), padded with zeros."""
        from torch.nn.functional import pad

        made = parametrisation(site)

        def change(_h: Tensor, output: Tensor) -> Tensor:
            delta = made.make(in_dtype(values, output.dtype), "delta")
            return output + pad(delta, (0, output.shape[-1] - delta.shape[0]))

        return on_output(host.module(site.module), change)

    def refusal(self, host: Host, site: Site) -> str | None:
        """Why the vector cannot be merged: the module has no bias. None if it has one."""
        return None if host.parameter(site.module, "bias") is not None else f"{site.module} has no bias"

    def fold(self, host: Host, site: Site, values: Values) -> None:
        """Add the vector to the bias of the module."""
        bias, delta = existing(host, site, "bias"), parametrisation(site).make(values, "delta")
        bias[: delta.shape[0]] += delta
