"""add-hidden: f(h) + W1 (.) m1, a vector on a module's output (Su et al. equation 14, as BitFit's equation 11)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad

from petscale.tuning.operations.hooks import Handle, Values, on_output
from petscale.tuning.plan import Site


def attach(model: nn.Module, site: Site, values: Values) -> list[Handle]:
    """`delta` is ``(width,)``; where the module's output is wider, its first entries are changed."""

    def change(_h: Tensor, output: Tensor) -> Tensor:
        delta = values("delta", output.dtype)
        return output + pad(delta, (0, output.shape[-1] - delta.shape[0]))

    return on_output(model.get_submodule(site.module), change)
