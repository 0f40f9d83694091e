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
from petscale.tuning.host import Host
from petscale.tuning.install import check
from petscale.tuning.operations.registry import operation_of
from petscale.tuning.plan import Plan
from petscale.tuning.site import Site


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
    host = Host(model, plan.shape)
    check(host, plan)
    weights = _Weights()
    with ExitStack() as cleanup:
        for site in plan.sites:
            operation = operation_of(site)
            if operation.acts(site):
                for handle in operation.applied(host, site, _Wholes(host, plan, site, values), weights):
                    cleanup.callback(handle.remove)
        for weight, value in weights.values():
            for module, name in host.users[id(weight)]:
                module.__dict__[name] = value
                cleanup.callback(module.__dict__.pop, name)
        yield


class _Weights:
    """Each changed weight of the backbone with its value under the delta."""

    def __init__(self) -> None:
        self._changed: dict[int, tuple[nn.Parameter, Tensor]] = {}

    def add(self, weight: nn.Parameter, change: Tensor) -> None:
        _, value = self._changed.get(id(weight), (weight, weight.detach().to(change.dtype)))
        self._changed[id(weight)] = (weight, value + change)

    def replace(self, weight: nn.Parameter, value: Tensor) -> None:
        self._changed[id(weight)] = (weight, value)

    def values(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """In the weights' own precision."""
        return ((weight, value.to(weight.dtype)) for weight, value in self._changed.values())


class _Wholes:
    """Unmasked tensors of a site, formed from the given values."""

    def __init__(self, host: Host, plan: Plan, site: Site, values: Mapping[str, Tensor]) -> None:
        device = nearest_parameter(host.model, site.module).device
        self._named = plan.tensors_of(site)
        self._indices = {key: entry_indices(named, device) for key, named in self._named.items()}
        self._values = values

    def __call__(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        named = self._named[key]
        whole = scatter(self._values[named.key], self._indices[key], named.tensor.shape)
        return whole if dtype is None else whole.to(dtype)
