"""plug: f(h) + act(f(h) W_down) W_up on a module's output (Su et al. equations 13 and 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from petscale.tuning.host import Host
from petscale.tuning.operations.hooks import Handle, Values, in_dtype, on_output
from petscale.tuning.operations.operation import Insertion, parametrisation
from petscale.tuning.site import Site

if TYPE_CHECKING:
    from torch import Tensor


class Plug(Insertion):
    """The site's parametrisation makes the matrices `down` ``(width, in)`` and `up` ``(out, width)``.

    `down.bias` and `up.bias` are added if the plan has them. The setting `activation` is the name of an activation
    function in transformers.
    """

    name = "plug"

    def insert(self, host: Host, site: Site, values: Values) -> list[Handle]:
        from transformers.activations import ACT2FN

        activation = ACT2FN[site.settings["activation"]]
        made = parametrisation(site)
        keys = {tensor.key for tensor in site.tensors}

        def change(_h: Tensor, output: Tensor) -> Tensor:
            factors = in_dtype(values, output.dtype)

            def bias(key: str) -> Tensor | None:
                return factors(key) if key in keys else None

            inside = activation(made.apply(output, factors, "down", bias=bias("down.bias")))
            return output + made.apply(inside, factors, "up", bias=bias("up.bias"))

        return on_output(host.module(site.module), change)
