"""The optimizer Muon (Jordan et al. 2024) in float32, which updates a stack of matrices at a time.

`torch.optim.Muon` updates one matrix at a time in bfloat16. On a processor without bfloat16 arithmetic this takes
longer than the rest of the training step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

ITERATION = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic Newton-Schulz iteration, as published."""


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """Approximate the nearest (semi-)orthogonal matrix to each matrix of a stack.

    Args:
        stack: (n, r, c) with r <= c.
        steps: number of iterations.
    """
    a, b, c = ITERATION
    x: Tensor = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each matrix is made orthogonal, so that rare directions change as much as common ones.

    Args:
        params: matrices.
        lr: root mean square of the update of a square matrix, times the square root of its width.
        momentum: coefficient of the Nesterov average.
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
