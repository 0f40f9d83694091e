"""A gate in front of what a site adds: sigma(w h + c), a number between 0 and 1 (Mao et al. 2022, UniPELT).

A site with a gate has the setting `gate` and the tensors `gate` ``(width,)`` and `gate.bias` ``(1,)``:

* `token`: every token has its own gate, which depends on nothing but the token's own state. So it never looks ahead,
  and padding does not move it.
* `sequence`: the mean over all tokens of the sequence, padding included, as in the released code. In a decoder this
  looks ahead: the gates of earlier tokens depend on later ones, and generation without a cache differs from training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from petscale.tuning.parametrisations.parametrisation import Factors
from petscale.tuning.site import Site

if TYPE_CHECKING:
    from torch import Tensor


def gated(site: Site) -> bool:
    """Whether what the site adds is multiplied by a gate."""
    return "gate" in site.settings


def gate_of(site: Site, h: Tensor, factors: Factors) -> Tensor:
    """The gate of a site that has one: ``(batch, length, 1)``, or ``(batch, 1, 1)`` over the sequence.

    Args:
        site: a site with the setting `gate`.
        h: the states that the gate reads, ``(batch, length, width)``.
        factors: function that returns the trained tensors of the site.
    """
    from torch.nn.functional import linear

    gate = linear(h, factors("gate")[None], factors("gate.bias")).sigmoid()
    return gate.mean(dim=1, keepdim=True) if site.settings["gate"] == "sequence" else gate
