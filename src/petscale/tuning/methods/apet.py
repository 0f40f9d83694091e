"""APET: trains exactly the given number of entries, at any position (Su et al. section 5.1, appendix C).

The budget is divided among operations, then among roles, then among the sites of a role, at each level in fixed shares
and by the same house-monotone rule (petscale.tuning.apportion). So a budget gives each role the same number of entries
at every scale, and the entries of a smaller budget are part of those of a larger one. `apet-adjacent` and
`apet-discrete` have the same number of entries at every site; they differ only in whether these are neighbours or
scattered.

By default APET uses `add` on the attention and feed-forward matrices, with an equal share for every matrix of the
backbone. docs/mechanism.md explains why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from typing import Literal

from petscale.errors import BadInput
from petscale.tuning.apportion import apportion
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Build, Method, Request
from petscale.tuning.methods.apet_options import ApetOptions, Source
from petscale.tuning.methods.candidates import SOURCES, Candidate
from petscale.tuning.plan import Site

# Self-attention and feed-forward networks are in both stacks, cross-attention in one. So these shares give every matrix
# of a T5 the same number of entries, at every scale.
DEFAULT_SHARES: Mapping[str, int] = {"self": 2, "cross": 1, "ffn": 2}


def _method(structure: Literal["adjacent", "discrete"]) -> Build:
    def build(offered: Inventory, request: Request[ApetOptions]) -> Iterator[Site]:
        budget = request.budget
        assert budget is not None, "the registry checks this"
        roles = _roles_by_operation(offered, request)
        _check_shares(roles, request)
        shares = _operation_shares(request)
        operations = list(roles)
        pools = [[c for role in roles[operation].values() for c in role] for operation in operations]
        quotas = apportion(
            budget,
            [shares[operation] for operation in operations],
            [sum(candidate.capacity for candidate in pool) for pool in pools],
            pairs=[pool[0].pair for pool in pools],
        )
        for operation, quota in zip(operations, quotas, strict=True):
            yield from _spread(roles[operation], quota, request, structure)

    return build


def _holds(offered: Inventory, request: Request[ApetOptions]) -> int:
    """All entries of the candidates that the options select."""
    roles = _roles_by_operation(offered, request)
    return sum(c.capacity for by_role in roles.values() for candidates in by_role.values() for c in candidates)


def _spread(
    roles: Mapping[str, Sequence[Candidate]],
    quota: int,
    request: Request[ApetOptions],
    structure: Literal["adjacent", "discrete"],
) -> Iterator[Site]:
    """Divide the quota of an operation among its roles and their sites."""
    by_role = apportion(
        quota,
        [_role_share(role, request) for role in roles],
        [sum(candidate.capacity for candidate in candidates) for candidates in roles.values()],
        pairs=[candidates[0].pair for candidates in roles.values()],
    )
    for candidates, seats in zip(roles.values(), by_role, strict=True):
        # Within a role all shares are equal. A hash of seed and site decides which site comes first, so that it is not
        # always the first layer.
        order = sorted(candidates, key=lambda c: sha256(f"{request.mask_seed}/{c.name}".encode()).digest())
        each = apportion(seats, [Fraction(1)] * len(order), [c.capacity for c in order], pairs=[c.pair for c in order])
        held = {candidate.name: seats for candidate, seats in zip(order, each, strict=True)}
        yield from candidates[0].sites(candidates, held, structure, request.mask_seed)


def _roles_by_operation(offered: Inventory, request: Request[ApetOptions]) -> dict[Source, dict[str, list[Candidate]]]:
    """The candidates that the options select, by operation and role, in the fixed order of the roles."""
    operations = list(_operation_shares(request))
    candidates = {o: [c for c in SOURCES[o](offered, request.options) if c.capacity] for o in operations}
    known = [candidate.role for operation in operations for candidate in candidates[operation]]
    asked = request.options.roles or ()
    wanted = offered.expand(asked, known, f"{request.method} with {', '.join(operations)}")
    selected: dict[Source, dict[str, list[Candidate]]] = {}
    for operation in operations:
        own = dict.fromkeys(candidate.role for candidate in candidates[operation])
        chosen = [role for role in own if (role in wanted if asked else _is_default(operation, role))]
        if not chosen:
            raise BadInput(f"{request.method}: operation {operation!r} finds nothing to act on in this backbone")
        selected[operation] = {role: [c for c in candidates[operation] if c.role == role] for role in chosen}
    return selected


def _is_default(operation: str, role: str) -> bool:
    """Whether a role is chosen by default: attention and feed-forward matrices, or their biases for `add-hidden`."""
    inside = role.partition(".")[0] in DEFAULT_SHARES
    return inside and role.endswith(".bias") == (operation == "add-hidden")


def _operation_shares(request: Request[ApetOptions]) -> dict[Source, Fraction]:
    asked = request.options.operations
    shares: Mapping[Source, float] = asked if isinstance(asked, Mapping) else dict.fromkeys(asked, 1)
    return {operation: _share(value) for operation, value in shares.items()}


def _role_share(role: str, request: Request[ApetOptions]) -> Fraction:
    return _share(request.options.shares.get(role, DEFAULT_SHARES.get(role.partition(".")[0], 1)))


def _check_shares(roles: Mapping[Source, Mapping[str, object]], request: Request[ApetOptions]) -> None:
    chosen = dict.fromkeys(role for by_role in roles.values() for role in by_role)
    for role in request.options.shares:
        if role not in chosen:
            raise BadInput(f"{request.method}: option shares.{role}: not among the roles {', '.join(chosen)}")


def _share(value: float) -> Fraction:
    return Fraction(str(value))  # 0.1 is exactly a tenth, so that equal shares tie


APET_ADJACENT = Method(
    name="apet-adjacent",
    version=1,
    reference="Su et al. 2023 section 5.1 and appendix C (APET_Adjacent)",
    operations=("add", "add-hidden", "concat", "plug"),
    formula="f(h) + (W (.) m), m a run of neighbours in rows or columns",
    structure="adjacent",
    identity_at_start=True,
    learning_rate_key="apet",
    build=_method("adjacent"),
    options=ApetOptions,
    takes_budget=True,
    holds=_holds,
)

APET_DISCRETE = replace(
    APET_ADJACENT,
    name="apet-discrete",
    reference="Su et al. 2023 section 5.1 and appendix C (APET_Discrete)",
    formula="f(h) + (W (.) m), m scattered entries",
    structure="discrete",
    build=_method("discrete"),
)
