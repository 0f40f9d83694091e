"""The candidates of APET: the parts of a backbone that can hold trained entries, and the sites made from them.

A candidate of `add` is a weight, and one of `add-hidden` is a place without a bias. For `concat` and `plug` a candidate
is one rank of a pair of factors: W3 (.) m3 W4 (.) m4 (equation 15), or the same for plug (equation 16). A rank has an
effect only with an entry in both factors, so it takes at least two entries, one down and one up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from petscale.families.parts import Place, Weight
from petscale.tuning.apportion import apportion
from petscale.tuning.inventory import Inventory
from petscale.tuning.masks.mask import Mask
from petscale.tuning.methods.apet_options import ApetOptions, Source
from petscale.tuning.plan import Site
from petscale.tuning.sites import bottleneck, branch, inserted_bias, living, masked_weight

Structure = Literal["adjacent", "discrete"]
Emit = Callable[["Sequence[Candidate]", Mapping[str, int], Structure, int], Iterator[Site]]


@dataclass(frozen=True)
class Candidate:
    """A part of the backbone that can hold trained entries.

    Attributes:
        name: unique name, which decides the order among candidates with equal shares.
        role: its role, from whose share it gets entries.
        capacity: largest number of entries, without dead ones.
        pair: whether it can hold no entry or at least two, but not one.
        part: the weight or place.
        sites: function that makes sites from the quotas of all candidates of a role.
    """

    name: str
    role: str
    capacity: int
    pair: bool
    part: Weight | Place
    sites: Emit


def _weights(offered: Inventory, _options: ApetOptions) -> list[Candidate]:
    return [Candidate(w.name, w.role, living(w), False, w, _masked_weights) for w in offered.weights]


def _biases(offered: Inventory, _options: ApetOptions) -> list[Candidate]:
    places = (place for place in offered.places_of("bias") if not place.dead)
    return [Candidate(p.module, p.role, p.width_out, False, p, _masked_biases) for p in places]


def _branches(offered: Inventory, options: ApetOptions) -> list[Candidate]:
    rank = options.rank
    scale = options.alpha / rank

    def build(place: Place, masks: tuple[Mask, Mask]) -> Site:
        return branch(place, rank, scale, masks=masks)

    return _ranks([place for place in offered.places_of("branch") if not place.dead], rank, build)


def _bottlenecks(offered: Inventory, options: ApetOptions) -> list[Candidate]:
    width = options.bottleneck

    def build(place: Place, masks: tuple[Mask, Mask]) -> Site:
        # The up factor starts at zero, so unlike a published adapter the delta starts at the backbone's function.
        return bottleneck(place, width, "gelu_new", biases=False, masks=masks, starts=("fan-in", "zeros"))

    return _ranks(list(offered.places_of("stream")), width, build)


SOURCES: Mapping[Source, Callable[[Inventory, ApetOptions], list[Candidate]]] = {
    "add": _weights,
    "add-hidden": _biases,
    "concat": _branches,
    "plug": _bottlenecks,
}


def _masked_weights(
    candidates: Sequence[Candidate], held: Mapping[str, int], structure: Structure, seed: int
) -> Iterator[Site]:
    for candidate in candidates:
        weight, quota = candidate.part, held[candidate.name]
        if isinstance(weight, Weight) and quota:
            yield masked_weight(weight, Mask(structure, (quota,), seed, weight.dead))


def _masked_biases(
    candidates: Sequence[Candidate], held: Mapping[str, int], structure: Structure, seed: int
) -> Iterator[Site]:
    for candidate in candidates:
        place, quota = candidate.part, held[candidate.name]
        if isinstance(place, Place) and quota:
            yield inserted_bias(place, mask=Mask(structure, (quota,), seed))


def _ranks(places: Sequence[Place], ranks: int, build: Callable[[Place, tuple[Mask, Mask]], Site]) -> list[Candidate]:
    """One candidate for each place and rank; the ranks of a place become one site."""

    def sites(
        candidates: Sequence[Candidate], held: Mapping[str, int], structure: Structure, seed: int
    ) -> Iterator[Site]:
        for first in candidates[::ranks]:
            place = first.part
            assert isinstance(place, Place)
            halves = [_halves(held[f"{place.module}#{rank}"], place) for rank in range(ranks)]
            if any(down for down, _ in halves):
                down_mask = Mask(structure, tuple(down for down, _ in halves), seed)
                up_mask = Mask(structure, tuple(up for _, up in halves), seed)
                yield build(place, (down_mask, up_mask))

    return [
        Candidate(f"{place.module}#{rank}", place.role, place.width_in + place.width_out, True, place, sites)
        for place in places
        for rank in range(ranks)
    ]


def _halves(quota: int, place: Place) -> tuple[int, int]:
    """Numbers of entries of one rank in down and up: one each, and the rest in proportion to the two widths."""
    if quota == 0:
        return 0, 0
    widths = [place.width_in, place.width_out]
    down, up = apportion(quota - 2, [Fraction(width) for width in widths], [width - 1 for width in widths])
    return 1 + down, 1 + up
