"""Layers whose tensors are trained in place, against copies of them with dense, differentiable changes, in float64."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from petscale.tuning.block import Block
from petscale.tuning.live import LiveWeight
from petscale.tuning.masks.mask import Mask
from petscale.tuning.site import Trained


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Pair:
    """A layer with trained tensors, and its reference.

    Attributes:
        layer: the layer with its installed deltas.
        plain: a copy from before.
        changes: what the deltas add, dense, by name of the tensor.
    """

    def __init__(self, layer: nn.Module, positions: dict[str, list[int] | None]) -> None:
        """`positions` has the trained entries of each trained tensor; None for all of it."""
        layer = layer.double().requires_grad_(False)
        for number, parameter in enumerate(layer.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=10 + number))
        self.layer, self.plain = layer, deepcopy(layer)
        self.lives: dict[str, LiveWeight] = {}
        self.changes: dict[str, Tensor] = {}
        self.positions = {name: None if taken is None else torch.tensor(taken) for name, taken in positions.items()}
        for name, taken in self.positions.items():
            weight = layer.get_parameter(name)
            change = torch.zeros(weight.numel(), dtype=torch.float64)
            entries = torch.arange(weight.numel()) if taken is None else taken
            change[entries] = draw(len(entries), seed=20)
            self.changes[name] = change.reshape(weight.shape).requires_grad_()
            self.lives[name] = self._live(name, weight, taken, change[entries])
            self.lives[name].write()

    def _live(self, name: str, weight: nn.Parameter, taken: Tensor | None, values: Tensor) -> LiveWeight:
        spec = Trained("delta", tuple(weight.shape), Mask("dense"), "zeros", 0)
        if taken is None:
            start = weight.detach().clone()
            block = Block(name, spec, nn.Parameter(start + values.reshape(start.shape)), None, start)
        else:
            block = Block(name, spec, nn.Parameter(values), taken.int(), None)
        return LiveWeight(weight, block, [(self.layer, name)])

    def check(self, x: Tensor) -> None:
        """Output, the gradient of x if it needs one, and those of the trained entries; then without gradients."""
        values = {name: value + self.changes.get(name, 0) for name, value in self.plain.named_parameters()}
        inputs = [x] if x.requires_grad else []
        expected = functional_call(self.plain, values, (x,))
        upstream = draw(*expected.shape, seed=30)
        dense = torch.autograd.grad(expected, [*inputs, *self.changes.values()], upstream)
        output = self.layer(x)
        masters = [live.block.parameter for live in self.lives.values()]
        found = torch.autograd.grad(output, [*inputs, *masters], upstream)
        same(output, expected)
        for one, other, taken in zip(found, dense, [None] * len(inputs) + [*self.positions.values()], strict=True):
            same(one, other if taken is None else other.flatten()[taken])
        with torch.no_grad():
            same(self.layer(x), expected)

    def remove(self) -> None:
        for live in self.lives.values():
            live.restore()
            live.detach()


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one.detach(), other.detach(), atol=1e-12, rtol=1e-12)


LAYERS: dict[str, tuple[nn.Module, dict[str, list[int] | None]]] = {
    "matrix": (nn.Linear(5, 4), {"weight": [0, 3, 4, 8, 11, 17, 19]}),
    "matrix without bias": (nn.Linear(5, 4, bias=False), {"weight": [2, 3, 4, 5, 6, 7, 8]}),
    "matrix and bias": (nn.Linear(5, 4), {"weight": [1, 6, 9, 14], "bias": [3, 0]}),
    "whole matrix and whole bias": (nn.Linear(5, 4), {"weight": None, "bias": None}),
    "bias": (nn.Linear(5, 4), {"bias": [2, 1]}),
    "norm": (nn.LayerNorm(5), {"weight": [4, 0], "bias": None}),
}


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("needs_gradient", [True, False])
def test_outputs_and_gradients_are_those_of_a_dense_change(case: str, needs_gradient: bool) -> None:
    """Two sentences of three tokens. In a backbone, the input of the first layers has no gradient."""
    pair = Pair(*deepcopy(LAYERS[case]))
    pair.check(draw(2, 3, 5, seed=1).requires_grad_(needs_gradient))


def test_a_table_gets_the_gradients_of_its_rows() -> None:
    """Entries of two rows that are read, one of them twice, and of one that is not."""
    pair = Pair(nn.Embedding(6, 3), {"weight": [0, 4, 12, 16]})
    pair.check(torch.tensor([[1, 4, 1], [3, 2, 0]]))


@pytest.mark.parametrize("case", LAYERS)
def test_removal_restores_every_bit_and_the_layer_s_own_forward(case: str) -> None:
    pair = Pair(*deepcopy(LAYERS[case]))
    assert any(not torch.equal(a, b) for a, b in zip(pair.layer.parameters(), pair.plain.parameters(), strict=True))
    pair.remove()
    assert all(torch.equal(a, b) for a, b in zip(pair.layer.parameters(), pair.plain.parameters(), strict=True))
    assert "forward" not in pair.layer.__dict__
    assert not pair.layer._forward_pre_hooks
    assert not pair.layer._forward_hooks


def test_a_weight_that_trains_itself_is_left_alone_and_restored() -> None:
    """Full fine-tuning in float32: the optimizer moves the weight in the model, and autograd finds it there."""
    layer = nn.Linear(5, 4)
    start = layer.weight.detach().clone()
    spec = Trained("delta", (4, 5), Mask("dense"), "origin", 20)
    live = LiveWeight(layer.weight, Block("weight", spec, layer.weight, None, start), [(layer, "weight")])
    assert live.handles == []
    with torch.no_grad():
        layer.weight += 1
    live.write()
    assert torch.equal(layer.weight, start + 1)
    live.restore()
    assert torch.equal(layer.weight, start)


@pytest.mark.parametrize("bias", [True, False])
def test_autocast_computes_as_in_the_plain_layer(bias: bool) -> None:
    """In bfloat16 under autocast, in the layer's own precision without; the master's gradient keeps its precision."""
    layer = nn.Linear(5, 4, bias=bias).requires_grad_(False)
    plain = deepcopy(layer)
    spec = Trained("delta", (4, 5), Mask("discrete", (3,)), "zeros", 3)
    block = Block("weight", spec, nn.Parameter(torch.zeros(3)), torch.tensor([1, 7, 12]), None)
    LiveWeight(layer.weight, block, [(layer, "weight")])
    x = draw(3, 5).float()
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output, expected = layer(x), plain(x)
        assert output.dtype == expected.dtype == (torch.bfloat16 if enabled else torch.float32)
        assert torch.equal(output, expected)
        (gradient,) = torch.autograd.grad(output.sum(), [block.parameter])
        assert gradient.dtype == torch.float32
        of_columns = x.sum(0)  # a sum's gradient at (row, column) is the column's sum over tokens
        torch.testing.assert_close(gradient, of_columns[[1, 2, 2]], atol=0.05 if enabled else 1e-6, rtol=0)


def test_a_hook_that_reads_the_bias_sends_its_gradient_too() -> None:
    """Even one that was there before: all that runs in the module's forward pass meets the trained tensor."""
    norm = nn.LayerNorm(5)
    norm.register_forward_pre_hook(lambda module, args: (args[0] + module.bias,))
    Pair(norm, {"bias": [0, 2]}).check(draw(3, 5, seed=1))


def test_a_forward_pass_that_fails_leaves_the_module_its_own_tensor() -> None:
    norm = Pair(nn.LayerNorm(5), {"bias": [0, 2]}).layer
    with pytest.raises(RuntimeError):
        norm(draw(3, 4))
    assert norm.bias is norm._parameters["bias"]
