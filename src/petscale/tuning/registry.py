"""All methods by name, and the function that makes the plan of a method on a backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.tuning.inventory import inventory
from petscale.tuning.method import Method, Request
from petscale.tuning.methods.catalogue import ALL
from petscale.tuning.operations.registry import operation_of
from petscale.tuning.plan import Plan
from petscale.tuning.site import Site, Trained

METHODS: Mapping[str, Method[Any]] = MappingProxyType({method.name: method for method in ALL})


def lookup(name: str) -> Method[Any]:
    """The method of that name.

    Raises:
        BadInput: there is no such method; the message suggests the closest names.
    """
    if name in METHODS:
        return METHODS[name]
    near = get_close_matches(name, METHODS, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"methods: {', '.join(METHODS)}"
    raise BadInput(f"unknown method {name!r}; {hint}")


def make_plan(
    shape: BackboneShape,
    method: str | Method[Any],
    *,
    budget: int | None = None,
    mask_seed: int = 0,
    options: Mapping[str, Any] | None = None,
    target_length: int | None = None,
) -> Plan:
    """Make the plan of a method on a backbone; equal arguments give equal plans on every machine.

    Args:
        shape: shape of the backbone.
        method: a name in `METHODS`, or a method that is not registered.
        budget: exact number of trained scalars, only for methods that take a budget (`apet-*`).
        mask_seed: seed of the masks, which is independent of the training seed.
        options: options that replace the method's defaults.
        target_length: number of target tokens with the end of sequence, if the task fixes it; None for a long target.
            With 1, q and k of the decoder's self-attention have no effect, so they do not count as effective, and APET
            does not choose them.

    Raises:
        BadInput: a method, option, operation or role is unknown, or a budget is missing, not allowed or cannot be met.
    """
    found = lookup(method) if isinstance(method, str) else method
    chosen = found.options.read(found.name, options or {}).plain()
    if found.takes_budget and budget is None:
        raise BadInput(f"{found.name}: a budget is needed, as a number or as another method's count")
    if not found.takes_budget and budget is not None:
        raise BadInput(f"{found.name}: the count follows from the backbone, a budget cannot be asked for")
    if budget is not None and budget < 1:
        raise BadInput(f"{found.name}: budget {budget} is below 1")
    return _resolve(shape, found, budget, mask_seed, json.dumps(chosen, sort_keys=True), target_length)


def budget_range(
    shape: BackboneShape,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    target_length: int | None = None,
) -> tuple[int, int]:
    """The smallest and the largest number of scalars that a method which takes a budget can train on a backbone.

    Raises:
        BadInput: the method takes no budget, or it can train nothing there.
    """
    found = lookup(method)
    if not found.takes_budget:
        raise BadInput(f"{found.name} takes no budget")
    chosen = found.options.read(found.name, options or {}).plain()
    return _range(shape, found, json.dumps(chosen, sort_keys=True), target_length)


def matched_budget(shape: BackboneShape, method: str, *, options: Mapping[str, Any] | None = None) -> int:
    """The number of scalars that a method trains on a backbone, which is the budget that `match: lora` means.

    Raises:
        BadInput: the method takes a budget itself or trains nothing.
    """
    if lookup(method).takes_budget:
        raise BadInput(f"match: {method} has no count of its own")
    count = make_plan(shape, method, options=options).trainable
    if count == 0:
        raise BadInput(f"match: {method} trains nothing")
    return count


@cache
def _range(shape: BackboneShape, method: Method[Any], options: str, target_length: int | None) -> tuple[int, int]:
    assert method.holds is not None, f"{method.name} takes a budget, so it says how much it holds"
    request = Request(method.name, None, 0, method.options.model_validate_json(options))
    largest = method.holds(inventory(shape, target_length), request)
    for budget in range(1, largest + 1):
        try:
            _resolve(shape, method, budget, 0, options, target_length)
        except BadInput:
            continue  # an inserted pair, for example, needs two entries
        return budget, largest
    raise BadInput(f"{method.name}: this backbone can hold no entry")


@lru_cache(maxsize=1024)  # thousands of cells of a study share a few hundred plans
def _resolve(
    shape: BackboneShape,
    method: Method[Any],
    budget: int | None,
    mask_seed: int,
    options: str,
    target_length: int | None,
) -> Plan:
    request = Request(method.name, budget, mask_seed, method.options.model_validate_json(options))
    built = tuple(method.build(inventory(shape, target_length), request))
    # What is dead depends on the keys that the plan itself adds to attentions, so such a plan is made again with them.
    sites = (one for one in built if isinstance(one, Site))
    more_keys = frozenset(site.module for site in sites if operation_of(site).adds_keys(site))
    if more_keys:
        built = tuple(method.build(inventory(shape, target_length, more_keys), request))
    plan = Plan(
        method.name,
        method.version,
        shape,
        target_length,
        budget,
        mask_seed,
        json.loads(options),
        sites=tuple(one for one in built if isinstance(one, Site)),
        shared=tuple(one for one in built if isinstance(one, Trained)),
    )
    if budget is not None and plan.trainable != budget:
        raise AssertionError(f"{method.name}: planned {plan.trainable} entries for a budget of {budget}")
    return plan
