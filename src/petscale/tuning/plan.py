"""A plan: the sites where a method acts on a backbone, each with an operation, a parametrisation and masks.

A plan is plain data and is computed before anything is loaded. Its counts are those of the optimizer and of the file,
and a saved delta needs only its plan and its values to be installed again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.tuning.masks.mask import VERSION as MASK_VERSION
from petscale.tuning.masks.mask import Mask
from petscale.tuning.site import Named, Site, Trained

__all__ = ["Counts", "Plan", "Site", "Trained"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of scalars of a plan."""

    trainable: int
    effective: int
    by_operation: Mapping[str, int]
    by_role: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """Everything that a method does on one backbone.

    Attributes:
        method: name in the registry.
        version: version of the method when the plan was made.
        shape: shape of the backbone for which the plan was made.
        target_length: number of target tokens that `effective` and APET's candidates assume; None for a long target.
        budget: the budget that was given; None for methods that take none.
        mask_seed: seed of the masks.
        options: the method's options, including defaults.
        sites: the sites where the method acts.
    """

    method: str
    version: int
    shape: BackboneShape
    target_length: int | None
    budget: int | None
    mask_seed: int
    options: Mapping[str, Any]
    sites: tuple[Site, ...]

    def tensors_of(self, site: Site) -> dict[str, Named]:
        """The trained tensors that a site reads, by their key in the site."""
        return {tensor.key: Named(site.key(tensor), tensor) for tensor in site.tensors}

    @cached_property
    def counts(self) -> Counts:
        by_operation: Counter[str] = Counter()
        by_role: Counter[str] = Counter()
        for site in self.sites:
            by_operation[site.operation] += site.count
            by_role[site.role] += site.count
        effective = sum(tensor.effective for site in self.sites for tensor in site.tensors)
        return Counts(by_operation.total(), effective, dict(by_operation), dict(by_role))

    @property
    def trainable(self) -> int:
        """Number of scalars that the optimizer holds."""
        return self.counts.trainable

    @property
    def effective(self) -> int:
        """Number of trainable scalars whose derivative is structurally non-zero (docs/mechanism.md)."""
        return self.counts.effective

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON; plans with equal digests train the same entries."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data; a mask is stored as structure, quotas and seed, not as a list of entries."""
        return {"format": FORMAT, "masks": MASK_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """The inverse of `to_json`.

        Raises:
            BadInput: another format or other masks than this version makes, or a missing field.
        """
        found, known = (document.get("format"), document.get("masks")), (FORMAT, MASK_VERSION)
        if found != known:
            raise BadInput(f"plan: format and mask versions {found} are not {known}, which this petscale reads")
        rest = {key: value for key, value in document.items() if key not in ("format", "masks")}
        try:
            sites = tuple(_site(item) for item in rest.pop("sites"))
            return cls(shape=BackboneShape.from_json(rest.pop("shape")), sites=sites, **rest)
        except (KeyError, TypeError) as error:
            raise BadInput(f"plan: not a whole plan ({error})") from None


def _site(document: Mapping[str, Any]) -> Site:
    return Site(**{**document, "tensors": tuple(_trained(item) for item in document["tensors"])})


def _trained(document: Mapping[str, Any]) -> Trained:
    mask = document["mask"]
    dead = tuple((start, stop) for start, stop in mask["dead"])
    rebuilt = Mask(mask["structure"], tuple(mask["quotas"]), mask["seed"], dead)
    return Trained(**{**document, "shape": tuple(document["shape"]), "mask": rebuilt})
