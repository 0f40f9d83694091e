"""plug: f(h) + act(f(h) W_down) W_up on a module's output (Su et al. equations 13 and 16)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.activations import ACT2FN

from petscale.tuning.operations.hooks import Handle, Values, on_output
from petscale.tuning.plan import Site


def attach(model: nn.Module, site: Site, values: Values) -> list[Handle]:
    """`down` ``(width, in)``, `up` ``(width, out)``, and, where the plan has them, `down.bias` and `up.bias`."""
    activation = ACT2FN[site.settings["activation"]]
    keys = {tensor.key for tensor in site.tensors}

    def change(_h: Tensor, output: Tensor) -> Tensor:
        def bias(key: str) -> Tensor | None:
            return values(key, output.dtype) if key in keys else None

        inside = activation(linear(output, values("down", output.dtype), bias("down.bias")))
        return output + linear(inside, values("up", output.dtype).T, bias("up.bias"))

    return on_output(model.get_submodule(site.module), change)
