"""concat: f(h) + scale * h W_down W_up, a branch beside a linear layer (Su et al. equations 12 and 15)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear

from petscale.tuning.operations.hooks import Handle, Values, on_output
from petscale.tuning.plan import Site


def attach(model: nn.Module, site: Site, values: Values) -> list[Handle]:
    """`down` is ``(rank, in)``, `up` is ``(rank, out)``."""
    scale = float(site.settings["scale"])

    def change(h: Tensor, output: Tensor) -> Tensor:
        down, up = values("down", output.dtype), values("up", output.dtype)
        return output + linear(linear(h.to(output.dtype), down), up.T * scale)

    return on_output(model.get_submodule(site.module), change)


def product(site: Site, down: Tensor, up: Tensor) -> Tensor:
    """The branch as a change of the layer's matrix ``(out, in)``."""
    return float(site.settings["scale"]) * (up.T @ down)
