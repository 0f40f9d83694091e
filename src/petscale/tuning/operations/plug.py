"""plug: f(h) + s g act(x W_down) W_up on a module's output, with x = f(h) (Su et al. equations 13 and 16).

Variants read the input of a module instead of f(h) (parallel adapters), and multiply what they add by s or by a gate g.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from petscale.tuning.host import Host
from petscale.tuning.operations.gate import gate_of, gated
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_output
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.operations.scale import learns_factor
from petscale.tuning.site import Site

if TYPE_CHECKING:
    from torch import Tensor


class Plug(Insertion):
    """The site's parametrisation makes the matrices `down` ``(width, in)`` and `up` ``(out, width)``.

    `down.bias` and `up.bias` are added if the plan has them. The setting `activation` is the name of an activation
    function in transformers. These are optional: the setting `reads`, path of the module whose input is read; the
    setting `scale`, a constant s; the tensor `scale` ``(1,)``, the w of a learned s = 1 + w, or s itself with the
    setting `learns: factor`; and a gate.
    """

    name = "plug"

    def check(self, host: Host, site: Site) -> None:
        """Check that the module, and the one whose input or output is read, exist.

        Raises:
            BadInput: one of them is missing.
        """
        super().check(host, site)
        host.require(_source(site))

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        """Add up(act(down(x))) to the module's output (Su et al., equation 13), scaled or gated if the plan says."""
        from transformers.activations import ACT2FN

        activation, scale = ACT2FN[site.settings["activation"]], site.settings.get("scale")
        made = parametrisation(site)
        keys = {tensor.key for tensor in site.tensors}

        def change(h: Tensor, output: Tensor) -> Tensor:
            factors = in_dtype(values, output.dtype)

            def bias(key: str) -> Tensor | None:
                return factors(key) if key in keys else None

            read = h.to(output.dtype) if "reads" in site.settings else output
            inside = activation(made.apply(read, factors, "down", bias=bias("down.bias")))
            added = made.apply(inside, factors, "up", bias=bias("up.bias"))
            if scale is not None:
                added = added * scale
            if "scale" in keys:
                scaled = added * factors("scale")
                added = scaled if learns_factor(site) else added + scaled
            if gated(site):
                added = added * gate_of(site, read, factors)
            return output + added

        return on_output(host.module(site.module), change, reads=host.module(_source(site)))


def _source(site: Site) -> str:
    return str(site.settings.get("reads", site.module))
