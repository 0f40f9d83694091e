"""The inventory of a backbone: the weights and places, by role, from which a method chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache

from petscale.errors import BadInput
from petscale.families.parts import Place, PlaceKind, Weight
from petscale.families.registry import family_of
from petscale.families.shape import BackboneShape


@dataclass(frozen=True)
class Inventory:
    """Weights and places of one backbone, in the order of its modules.

    Attributes:
        shape: shape of the backbone.
        target_length: number of tokens of the target, which decides what is dead in a decoder; None for a long target.
        more_keys: attentions to whose keys the plan adds some, which also decide what is dead (`Operation.adds_keys`).
    """

    shape: BackboneShape
    target_length: int | None
    weights: tuple[Weight, ...]
    places: tuple[Place, ...]
    more_keys: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of all weights."""
        return frozenset(weight.name for weight in self.weights)

    def weights_of(self, role: str) -> tuple[Weight, ...]:
        """The weights with a role, in the order of the model."""
        return tuple(weight for weight in self.weights if weight.role == role)

    def places_of(self, kind: PlaceKind, role: str | None = None) -> tuple[Place, ...]:
        """The places of a kind, and of a role if one is given, in the order of the model."""
        return tuple(place for place in self.places if place.kind == kind and role in (None, place.role))

    def branches(self, patterns: Iterable[str], what: str) -> tuple[Place, ...]:
        """The places beside linear layers whose roles match any of the shell-style patterns.

        Raises:
            BadInput: a pattern matches nothing; the message lists the roles.
        """
        places = self.places_of("branch")
        roles = self.expand(patterns, (place.role for place in places), what)
        return tuple(place for place in places if place.role in roles)

    def expand(self, patterns: Iterable[str], known: Iterable[str], what: str) -> tuple[str, ...]:
        """The roles among `known` that match any of the shell-style patterns, in the order of `known`.

        Raises:
            BadInput: a pattern matches nothing; the message lists the roles.
        """
        roles = tuple(dict.fromkeys(known))
        patterns = tuple(patterns)
        for pattern in patterns:
            if not any(fnmatchcase(role, pattern) for role in roles):
                raise BadInput(
                    f"unknown role {pattern!r} for {what} on this {self.shape.family} backbone; "
                    f"roles: {', '.join(roles)}"
                )
        return tuple(role for role in roles if any(fnmatchcase(role, pattern) for pattern in patterns))


@lru_cache(maxsize=256)
def inventory(
    shape: BackboneShape, target_length: int | None = None, more_keys: frozenset[str] = frozenset()
) -> Inventory:
    """Make the inventory of a backbone from its shape, without weights and torch.

    Raises:
        BadInput: the target length is below 1.
    """
    if target_length is not None and target_length < 1:
        raise BadInput(f"target_length: {target_length} is below 1")
    family = family_of(shape)
    given = (shape, target_length, more_keys)
    return Inventory(shape, target_length, family.weights(*given), family.places(*given), more_keys)
