"""Adapters whose matrices are sums of n Kronecker products (Zhang et al. 2021; Karimi Mahabadi et al. 2021).

Each matrix is sum_j R_j (x) B_j with n rules R_j ``(n, n)``. In Compacter, the rules are one tensor for all matrices of
the plan, and each B_j has a low rank. In PHM adapters, every matrix has its own rules and a whole B_j.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field

from petscale.errors import BadInput
from petscale.families.parts import Place
from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Request, Whole
from petscale.tuning.methods.bottlenecks import reduced
from petscale.tuning.methods.norms import NormsOptions
from petscale.tuning.methods.tensors import dense
from petscale.tuning.site import Site, Trained

RULE = "rule"  # the shared tensor


class HypercomplexOptions(NormsOptions):
    """The options of these adapters."""

    reduction: Whole = Field(32, description="width of the hidden states / width of the bottleneck")
    n: Whole = Field(4, description="number of products, and of rows and columns of each rule")


class CompacterOptions(HypercomplexOptions):
    """The options of Compacter, whose factors also have a rank."""

    rank: Whole = Field(1, description="rank of each of the larger factors")


def with_shared_rule(
    offered: Inventory, request: Request[CompacterOptions], places: Iterable[Place]
) -> Iterator[Site | Trained]:
    """Compacter's adapters at these places, and the rules that they share."""
    n, rank, width = request.options.n, request.options.rank, _width(offered, request.method, request.options)
    yield dense(RULE, (n, n, n), "normal", std=1e-4)
    for place in places:
        tensors = []
        for part, out, inside in _matrices(place, width):
            columns, rows = inside // n, out // n
            tensors.append(dense(f"{part}.right.down", (n, rank, columns), "normal", std=_xavier(columns, rank)))
            tensors.append(dense(f"{part}.right.up", (n, rows, rank), "normal", std=_xavier(rank, rows)))
        uses = {"down.left": RULE, "up.left": RULE}
        yield _site(place, width, "kronecker-low-rank", tensors, uses)


def with_own_rules(
    offered: Inventory, request: Request[HypercomplexOptions], places: Iterable[Place]
) -> Iterator[Site]:
    """PHM adapters at these places."""
    n, width = request.options.n, _width(offered, request.method, request.options)
    for place in places:
        tensors = []
        for part, out, inside in _matrices(place, width):
            columns, rows = inside // n, out // n
            tensors.append(dense(f"{part}.left", (n, n, n), "normal", std=0.01))
            tensors.append(dense(f"{part}.right", (n, rows, columns), "normal", std=_xavier(columns, rows)))
        yield _site(place, width, "kronecker", tensors, {})


def _width(offered: Inventory, method: str, options: HypercomplexOptions) -> int:
    """The width of the bottleneck, rounded up to a multiple of n, which only narrow backbones need."""
    n, d = options.n, offered.shape.d_model
    if d % n:
        raise BadInput(f"{method}: option n: {n} does not divide this backbone's width {d}")
    return -(-reduced(d, options.reduction) // n) * n


def _xavier(inside: int, out: int) -> float:
    """Glorot's standard deviation, as the adapters library draws each factor."""
    return float((2 / (inside + out)) ** 0.5)


def _matrices(place: Place, width: int) -> tuple[tuple[str, int, int], ...]:
    """The two matrices of a bottleneck: part, output width, input width."""
    return ("down", width, place.width_in), ("up", place.width_out, width)


def _site(place: Place, width: int, parametrisation: str, tensors: list[Trained], uses: dict[str, str]) -> Site:
    biases = dense("down.bias", (width,), "zeros"), dense("up.bias", (place.width_out,), "zeros")
    name, settings = f"plug:{place.module}", {"activation": "gelu"}
    return Site(name, place.module, "plug", parametrisation, place.role, (*tensors, *biases), settings, uses)
