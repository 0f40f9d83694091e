"""low-rank: two factors with a rank between them (Su et al. equations 12, 13, 15 and 16)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from petscale.tuning.parametrisations.parametrisation import Factors, Parametrisation
from petscale.tuning.reach import Entries
from petscale.tuning.site import Named

if TYPE_CHECKING:
    from torch import Tensor

    from petscale.tuning.operations.peft import PeftFiles
    from petscale.tuning.plan import Plan


class LowRank(Parametrisation):
    """Factors `down` ``(rank, in)`` and `up` ``(rank, out)``.

    They make one matrix, up^T down. An operation that computes something between the two factors, as `plug` does, uses
    two matrices instead: the parts `down` ``(rank, in)`` and `up` ``(out, rank)``.
    """

    name = "low-rank"

    def make(self, factors: Factors, part: str = "") -> Tensor:
        """The product of both factors ``(out, in)``, or one of them alone for the parts `down` and `up`."""
        if part == "down":
            return factors("down")
        if part == "up":
            return factors("up").T
        down, up = factors("down"), factors("up")
        return up.T @ down

    def apply(
        self, h: Tensor, factors: Factors, part: str = "", *, scale: float | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """The input is multiplied by one factor after the other, so the product is never formed; the scale by `up`."""
        from torch.nn.functional import linear

        if part:
            return super().apply(h, factors, part, scale=scale, bias=bias)
        down, up = factors("down"), factors("up")
        return linear(linear(h, down), up.T if scale is None else up.T * scale, bias)

    def reach(self, tensors: Mapping[str, Named], part: str = "") -> Entries:
        """The entries (o, i) of the product for which some rank has a trained entry at both o and i."""
        if part:
            named = tensors[part]
            positions = partial(_transposed, named) if part == "up" else named.indices
            return Entries(named.tensor.count, positions)
        down, up = tensors["down"], tensors["up"]
        if all(named.tensor.mask.structure == "dense" for named in (down, up)):
            size = up.tensor.shape[1] * down.tensor.shape[1]
            return Entries(size, lambda: np.arange(size))
        return Entries(lambda: _met_count(up, down), lambda: np.flatnonzero(_met(up, down)))

    def rank(self, tensors: Mapping[str, Named], part: str = "") -> int:
        """Number of ranks that have a trained entry in both factors, or in the factor that is the part."""
        factors = [tensors[part].tensor] if part else [tensors[key].tensor for key in ("down", "up")]
        lanes = [tensor.mask.quotas or (tensor.shape[1],) * tensor.shape[0] for tensor in factors]
        living = sum(all(quotas) for quotas in zip(*lanes, strict=True))
        return min(living, *(tensor.shape[1] for tensor in factors))

    def branches_in_peft(self, plan: Plan, values: Mapping[str, Tensor], scale: float) -> PeftFiles | None:
        """The format of LoRA, for pairs of factors that all have the same rank."""
        from petscale.tuning.operations.peft import PeftFiles, whole

        if any([tensor.key for tensor in site.tensors] != ["down", "up"] for site in plan.sites):
            return None
        ranks = {site.tensors[0].shape[0] for site in plan.sites}
        if len(ranks) != 1:
            return None
        (rank,) = ranks
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


def _transposed(named: Named) -> NDArray[np.int64]:
    rank, width = named.tensor.shape
    positions = named.indices()
    return positions % width * rank + positions // width


def _trained(named: Named) -> NDArray[np.bool_]:
    """Which entries of a factor ``(rank, width)`` are trained."""
    found = np.zeros(prod(named.tensor.shape), bool)
    found[named.indices()] = True
    return found.reshape(named.tensor.shape)


def _met(up: Named, down: Named) -> NDArray[np.bool_]:
    """Array ``(out, in)`` that is true if some rank has a trained entry at both indices."""
    return (_trained(up).T.astype(np.float32) @ _trained(down).astype(np.float32)) > 0


def _met_count(up: Named, down: Named) -> int:
    """Count the true entries of `_met` without forming it: outputs with the same ranks are counted together."""
    (outputs, out_each), (inputs, in_each) = _grouped(_trained(up).T), _grouped(_trained(down).T)
    met = (outputs.astype(np.float32) @ inputs.T.astype(np.float32)) > 0
    return int(out_each @ met @ in_each)


def _grouped(rows: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The different rows, and how often each occurs. Rows are compared as strings of bits, which sort fast."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    strings = packed.view(f"S{packed.shape[1]}").ravel()
    _, first, each = np.unique(strings, return_index=True, return_counts=True)
    return rows[first], each
