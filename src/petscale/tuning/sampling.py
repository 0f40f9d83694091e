"""The gradient of a matrix, computed only at the entries of its mask.

For y = x W^T over T tokens the full gradient is G^T X, with G ``(T, out)`` and X ``(T, in)``, and k entries of it are
needed. A run of neighbours consists of complete rows or columns except at its ends, so it needs a product of slices.
For scattered entries there are three ways; the cheapest is chosen once, when the delta is installed:

- gathered: gather k columns of G and of X, multiply them elementwise and sum over tokens; best for few entries;
- sampled: `torch.sparse.sampled_addmm`, a matrix product that is computed only at the entries of a sparse pattern;
- whole: the full product, from which k entries are taken; best for dense masks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Sampler = Callable[[Tensor, Tensor], Tensor]
"""Function from (G ``(T, out)``, X ``(T, in)``) to the gradient ``(k,)`` in mask order."""


@dataclass(frozen=True)
class Costs:
    """Nanoseconds per token for one gathered entry, one sampled entry, one copied element and one multiplication."""

    gathered: float
    sampled: float
    moved: float
    multiplied: float


# cpu: measured on one EPYC core with 64 to 2,048 tokens. cuda: rough ratios; sampling is switched off there, because
# cuSPARSE has none in bfloat16.
COSTS = {
    "cpu": Costs(gathered=1.1, sampled=0.16, moved=1.1, multiplied=0.023),
    "cuda": Costs(gathered=400.0, sampled=float("inf"), moved=1.0, multiplied=1.0),
}
_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 24}  # products computed at once when gathering; those on a CPU fit in its cache


def sampler(indices: Tensor, shape: tuple[int, int]) -> Sampler:
    """The cheapest function for a matrix's gradient at flat positions `indices`, which are a run or ascending."""
    rows, columns = indices // shape[1], indices % shape[1]
    by_rows = _runs(indices)
    if len(by_rows) <= 2:
        return lambda g, x: torch.cat([_slices(g, x, start, stop) for start, stop in by_rows])
    by_columns = _runs(columns * shape[0] + rows)
    if len(by_columns) <= 2:
        return lambda g, x: torch.cat([_slices(x, g, start, stop) for start, stop in by_columns])
    return _scattered(indices, shape)


def _runs(positions: Tensor) -> list[tuple[int, int]]:
    """Half-open intervals of consecutive positions, in order; a run that wraps around has two."""
    breaks = (torch.diff(positions) != 1).nonzero().flatten() + 1
    if len(breaks) > 1:
        return [(0, 0)] * 3
    parts = torch.tensor_split(positions, breaks.cpu())
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def _slices(left: Tensor, right: Tensor, start: int, stop: int) -> Tensor:
    """Entries of left^T right at flat positions [start, stop), computed from the rows that contain them."""
    width = right.shape[1]
    first, last = start // width, (stop - 1) // width
    if first == last:
        return left[:, first] @ right[:, start - first * width : stop - first * width]
    block = left[:, first : last + 1].T @ right
    return block.flatten()[start - first * width : stop - first * width]


def _scattered(indices: Tensor, shape: tuple[int, int]) -> Sampler:
    costs = COSTS.get(indices.device.type, COSTS["cuda"])
    ways = {
        _gathered: costs.gathered * len(indices),
        _sampled: costs.moved * sum(shape) + costs.sampled * len(indices),
        _whole: costs.multiplied * shape[0] * shape[1],
    }
    return min(ways, key=lambda way: ways[way])(indices, shape)


def _whole(indices: Tensor, _shape: tuple[int, int]) -> Sampler:
    return lambda g, x: (g.T @ x).flatten().index_select(0, indices)


def _gathered(indices: Tensor, shape: tuple[int, int]) -> Sampler:
    rows, columns = (indices // shape[1]).int(), (indices % shape[1]).int()

    def gather(g: Tensor, x: Tensor) -> Tensor:
        size = max(1, _CHUNK.get(g.device.type, 1 << 20) // g.shape[0])
        pieces = zip(torch.split(rows, size), torch.split(columns, size), strict=True)
        return torch.cat([torch.linalg.vecdot(g.index_select(1, r).T, x.index_select(1, c).T) for r, c in pieces])

    return gather


def _sampled(indices: Tensor, shape: tuple[int, int]) -> Sampler:
    in_row = torch.bincount(indices // shape[1], minlength=shape[0])
    starts = torch.cat([in_row.new_zeros(1), in_row.cumsum(0)]).int()

    def sample(g: Tensor, x: Tensor) -> Tensor:
        dtype = torch.promote_types(g.dtype, torch.float32)
        columns = (indices % shape[1]).int()  # computing them again is cheaper than storing them
        values = torch.zeros(len(columns), dtype=dtype, device=g.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch warns that its CSR tensors are a beta feature
            pattern = torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=False)
        product = torch.sparse.sampled_addmm(pattern, g.to(dtype).T, x.to(dtype), beta=0.0)
        sampled: Tensor = product.values()
        return sampled

    return sample
