"""The functional executor: a plan applied to a backbone that nobody changes (design 3).

Within the context the model computes with the delta; its parameters are neither written nor replaced, so one backbone
in memory serves several deltas in turn. Weights are formed densely, W + W1 (.) m1, the branch's product included:
simple and costly, which makes it the reference for the installed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from petscale.tuning.block import entry_indices, nearest_parameter, scatter
from petscale.tuning.install import acts, check, live_tensor, users_of_tensors
from petscale.tuning.operations import INSERTIONS, branch
from petscale.tuning.plan import Plan, Site


@contextmanager
def applied(model: nn.Module, plan: Plan, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Compute with a delta inside the context: forward, `generate`, and backward.

    Args:
        model: a backbone without an installed delta.
        plan: of the delta.
        values: tensors by key, as `Delta.state` gives them; gradients flow to those that require them. With gradient
            checkpointing run backward inside the context too, since it computes forwards again.

    Raises:
        BadInput: the plan was made for another backbone.
    """
    check(model, plan)
    with ExitStack() as cleanup:
        for site in plan.sites:
            if site.operation in INSERTIONS and site.operation != "concat" and acts(site):
                whole = _Wholes(model, site, values)
                for handle in INSERTIONS[site.operation](model, site, whole):
                    cleanup.callback(handle.remove)
        users = users_of_tensors(model)
        for weight, value in _weights(model, plan, values):
            for module, name in users[id(weight)]:
                module.__dict__[name] = value
                cleanup.callback(module.__dict__.pop, name)
        yield


def _weights(model: nn.Module, plan: Plan, values: Mapping[str, Tensor]) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each changed weight of the backbone with its value under the delta, in the weight's precision."""
    changed: dict[int, tuple[nn.Parameter, Tensor]] = {}
    for site in plan.sites:
        if site.operation not in ("add", "concat"):
            continue
        whole = _Wholes(model, site, values)
        if site.operation == "add":
            weight = live_tensor(model, site)
            change, replaces = whole("delta"), site.tensors[0].start == "origin"
        else:
            weight = model.get_submodule(site.module).weight  # type: ignore[assignment]
            change, replaces = branch.product(site, whole("down"), whole("up")), False
        _, value = changed.get(id(weight), (weight, weight.detach().to(change.dtype)))
        changed[id(weight)] = (weight, change if replaces else value + change)
    return ((weight, value.to(weight.dtype)) for weight, value in changed.values())


class _Wholes:
    """Unmasked tensors of a site, formed from the given values."""

    def __init__(self, model: nn.Module, site: Site, values: Mapping[str, Tensor]) -> None:
        device = nearest_parameter(model, site.module).device
        self._specs = {tensor.key: tensor for tensor in site.tensors}
        self._indices = {tensor.key: entry_indices(site, tensor, device) for tensor in site.tensors}
        self._values = {tensor.key: values[site.key(tensor)] for tensor in site.tensors}

    def __call__(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        whole = scatter(self._values[key], self._indices[key], self._specs[key].shape)
        return whole if dtype is None else whole.to(dtype)
