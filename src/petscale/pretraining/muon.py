"""Muon (Jordan et al. 2024) in float32, one stack of matrices at a time.

`torch.optim.Muon` works matrix by matrix in bfloat16, which is slower than the whole training step on a processor
without bfloat16 arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

ITERATION = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic Newton-Schulz iteration, as published."""


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix to each of a stack, roughly.

    Args:
        stack: (n, r, c) with r <= c.
        steps: of the iteration.
    """
    a, b, c = ITERATION
    x: Tensor = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each matrix is made orthogonal, so that rare directions move as far as common ones.

    Args:
        params: matrices.
        lr: the root mean square that an update of a square matrix has, times the root of its width.
        momentum: of the Nesterov average.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closures here
        """Update every matrix that has a gradient."""
        del closure
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[tuple(parameter.shape)].append(parameter)
            for shape, matrices in shapes.items():
                self._update(matrices, shape, group["lr"], group["momentum"])

    def _update(self, matrices: list[Tensor], shape: tuple[int, ...], rate: float, momentum: float) -> None:
        gradient = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
        state = self.state[matrices[0]]
        average = state.setdefault("momentum", torch.zeros_like(gradient))
        average.lerp_(gradient, 1 - momentum)
        update = torch.lerp(gradient, average, momentum)
        rows, columns = shape
        update = orthogonal(update) if rows <= columns else orthogonal(update.mT).mT
        scale = rate * max(1.0, rows / columns) ** 0.5
        torch._foreach_add_(matrices, list(update.unbind()), alpha=-scale)
