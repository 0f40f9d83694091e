"""What APET can choose from, by operation: candidates with a capacity, and the sites that their quotas become.

A candidate of `add` is a weight, one of `add-hidden` a place without a bias. For `concat` and `plug` it is one rank of
a pair of factors: W3 (.) m3 W4 (.) m4 (equation 15) and its like for plug (equation 16). A rank acts only with an
entry on either side, so it takes two entries at least, one down and one up.
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
    """Something that can hold trained entries.

    Attributes:
        name: unique; decides its turn among equal claims.
        role: the role whose share it belongs to.
        capacity: entries that it can hold, dead ones not counted.
        pair: it holds two entries or more, or none.
        part: the weight or place.
        sites: turns the quotas of all candidates of a role into sites.
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
        # The up factor starts at zero, so the delta starts at the backbone's function, unlike a published adapter.
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
    """One candidate a place and rank; the ranks of a place become one site."""

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
    """Entries down and up of one rank: one each, the rest in proportion to the two widths."""
    if quota == 0:
        return 0, 0
    widths = [place.width_in, place.width_out]
    down, up = apportion(quota - 2, [Fraction(width) for width in widths], [width - 1 for width in widths])
    return 1 + down, 1 + up
