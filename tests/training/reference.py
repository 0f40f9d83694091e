"""The training recipe written a second time, from the paper and the study file's words: a plain loop.

It shares no code with the package's loop, schedule, gradient or delta. The backbone is transformers' own, each method
is its formula put into a functional call, AdamW and clipping are their formulas. What it takes from the package is
tested elsewhere: the order of batches, the start of a delta, and which entries a mask selects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import gelu
from transformers import BertForSequenceClassification, T5ForConditionalGeneration

Values = Mapping[str, Tensor]

BETAS = (0.9, 0.999)  # Kingma and Ba (2015), and torch's defaults
EPSILON = 1e-8


def load(folder: Path, family: str, dtype: torch.dtype, classes: int = 2) -> Any:
    """The backbone as transformers loads it; evaluation mode, so that nothing is dropped out."""
    if family == "t5":
        model: Any = T5ForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    else:
        model = BertForSequenceClassification.from_pretrained(folder, dtype=dtype, num_labels=classes)
    return model.eval().requires_grad_(False)


def rate_of(step: int, *, peak: float, schedule: str, warmup: int, steps: int) -> float:
    """The learning rate of optimizer step `step`, counted from 1.

    In warm-up the k-th of w steps has k / w of the peak, so step w is the first at the peak. After it the rate is
    constant, or falls on a straight line that would meet zero one step after the last.
    """
    if step <= warmup:
        return peak * step / warmup
    if schedule == "constant":
        return peak
    return peak * (1 - (step - 1 - warmup) / (steps - warmup))


class Reference:
    """A cell's training in plain torch.

    Attributes:
        values: trained values by key, float32: what the optimizer changes. Keys are those of the delta, and
            `head/weight`, `head/bias`.
        losses: of each step.
        rates: of each step.
        norms: of each step's gradient, before clipping.
    """

    def __init__(self, model: Any, start: Values, *, indices: Mapping[str, Tensor], scale: float) -> None:
        """`indices` has the flat positions of masked values; `scale` is LoRA's alpha / rank."""
        self.model, self.indices, self.scale = model, indices, scale
        self.values = {key: value.detach().float().clone() for key, value in start.items()}
        self.weights = {name: value.detach() for name, value in model.named_parameters()}
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.norms: list[float] = []
        self._moments = {key: (torch.zeros_like(v), torch.zeros_like(v)) for key, v in self.values.items()}

    def train(
        self, batches: Iterable[dict[str, Tensor]], rate: Callable[[int], float], *, decay: float, clip: float
    ) -> None:
        """One optimizer step a batch: AdamW (Loshchilov and Hutter 2019, algorithm 2) on the clipped gradient."""
        for step, batch in enumerate(batches, start=1):
            gradients = self.gradients(batch)
            norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradients.values()))
            self.norms.append(norm)
            self.rates.append(rate(step))
            for key, value in self.values.items():
                g = gradients[key] * min(1.0, clip / norm)
                first, second = self._moments[key]
                first.mul_(BETAS[0]).add_((1 - BETAS[0]) * g)
                second.mul_(BETAS[1]).add_((1 - BETAS[1]) * g * g)
                mean, square = first / (1 - BETAS[0] ** step), second / (1 - BETAS[1] ** step)
                value -= self.rates[-1] * (mean / (square.sqrt() + EPSILON) + decay * value)

    def gradients(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        values = {key: value.clone().requires_grad_() for key, value in self.values.items()}
        with ExitStack() as hooks, torch.autocast("cpu", torch.bfloat16, enabled=self._is_half()):
            weights = self._weights(values)
            for module in {key.split(":", 1)[1].split("/")[0] for key in values if key.startswith("plug:")}:
                hook = _adapter({key.rpartition("/")[2]: v for key, v in values.items() if f":{module}/" in key})
                hooks.callback(self.model.get_submodule(module).register_forward_hook(hook).remove)
            loss = functional_call(self.model, weights, kwargs=batch).loss
        self.losses.append(float(loss.detach()))
        return dict(zip(values, torch.autograd.grad(loss, list(values.values()), materialize_grads=True), strict=True))

    def _is_half(self) -> bool:
        return next(iter(self.weights.values())).dtype == torch.bfloat16

    def _weights(self, values: Values) -> dict[str, Tensor]:
        """The model's weights with everything that folds into them: whole weights, masked changes, branches, head."""
        weights = dict(self.weights)
        for key, value in values.items():
            place, _, tensor = key.rpartition("/")
            kind, _, name = place.partition(":")
            if place == "head":
                name, changed = f"classifier.{tensor}", value
            elif kind == "add" and key in self.indices:
                flat = weights[name].float().flatten()
                changed = flat.index_add(0, self.indices[key], value).reshape(weights[name].shape)
            elif kind == "add":
                changed = value.reshape(weights[name].shape)
            elif kind == "concat" and tensor == "up":
                name = f"{name}.weight"
                changed = weights[name].float() + self.scale * value.T @ values[f"{place}/down"]
            else:
                continue
            weights[name] = changed if place == "head" else changed.to(weights[name].dtype)
        return weights


def _adapter(values: Values) -> Callable[..., Any]:
    """Su et al. equation 13 on a module's output, with GELU as the released code has it, and its two biases."""

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        h = output[0] if isinstance(output, tuple) else output
        inside = gelu(h @ values["down"].T + values["down.bias"], approximate="tanh")
        h = h + inside @ values["up"] + values["up.bias"]
        return (h, *output[1:]) if isinstance(output, tuple) else h

    return hook
