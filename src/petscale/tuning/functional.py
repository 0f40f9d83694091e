"""The functional executor: it computes with a delta on a backbone whose parameters are not changed.

Inside the context the model computes with the delta; its parameters are neither written nor replaced, so one backbone
in memory can be used with several deltas in turn. Changed weights are formed as dense tensors, W + W1 (.) m1, including
the product of a branch. This is simple and slow, so it is the reference for the installed form.
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
        plan: plan of the delta.
        values: tensors by key, as from `Delta.state`; gradients flow to those that require them. With gradient
            checkpointing, the backward pass must also be inside the context, since it recomputes the forward pass.

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
    """Collects the changed weights of the backbone with their values under the delta."""

    def __init__(self) -> None:
        self._changed: dict[int, tuple[nn.Parameter, Tensor]] = {}

    def add(self, weight: nn.Parameter, change: Tensor) -> None:
        _, value = self._changed.get(id(weight), (weight, weight.detach().to(change.dtype)))
        self._changed[id(weight)] = (weight, value + change)

    def replace(self, weight: nn.Parameter, value: Tensor) -> None:
        self._changed[id(weight)] = (weight, value)

    def values(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """The changed weights and their values, in the precision of the weights."""
        return ((weight, value.to(weight.dtype)) for weight, value in self._changed.values())


class _Wholes:
    """The tensors of a site in their full shape, formed from the given values."""

    def __init__(self, host: Host, plan: Plan, site: Site, values: Mapping[str, Tensor]) -> None:
        device = nearest_parameter(host.model, site.module).device
        self._named = plan.tensors_of(site)
        self._indices = {key: entry_indices(named, device) for key, named in self._named.items()}
        self._values = values

    def __call__(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        named = self._named[key]
        whole = scatter(self._values[named.key], self._indices[key], named.tensor.shape)
        return whole if dtype is None else whole.to(dtype)
