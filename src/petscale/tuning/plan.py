"""A plan: the sites where a method acts on a backbone, each with an operation, a parametrisation and masks.

A plan is plain data and is computed before anything is loaded. Its counts are those of the optimizer and of the file,
and a saved delta needs only its plan and its values to be installed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from petscale.artefacts.canonical import digest
from petscale.artefacts.growth import incoming, later, outgoing
from petscale.errors import BadInput
from petscale.families.shape import BackboneShape
from petscale.tuning.inventory import Inventory, inventory
from petscale.tuning.masks.mask import VERSION as MASK_VERSION
from petscale.tuning.masks.mask import Mask
from petscale.tuning.operations.operation import parametrisation
from petscale.tuning.operations.registry import operation_of
from petscale.tuning.reach import Reach, highest_rank, touched
from petscale.tuning.site import Named, Site, Trained
from petscale.tuning.start import check_start

__all__ = ["Counts", "Plan", "Site", "Trained"]

FORMAT = 1
SHARED = "shared"  # used instead of a site's name and of a role for tensors that several sites use


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of scalars of a plan, without a classification head (docs/mechanism.md explains them).

    Attributes:
        trainable: scalars that the optimizer holds. A tensor that several sites share counts once.
        effective: trainable scalars whose derivative is structurally non-zero.
        deployed: scalars that inference needs in addition to the backbone, after every site that can be merged into
            existing weights was merged, and every generator was replaced by the tensor that it makes (Lialin et al.
            2024, guideline 1). Each site is considered by itself. Dead entries of a site that is kept are counted, but
            sites without any effect are not.
        touched: entries of the backbone's weights that may have changed after this merging, each counted once. For
            masked pairs of factors this number depends on the mask seed.
        rank: the highest rank that the change of one matrix of the backbone can have, by shapes and masks; None if no
            matrix changes.
        by_operation: `trainable` by operation; shared tensors under `shared`.
        by_role: `trainable` by role; shared tensors under `shared`.
    """

    trainable: int
    effective: int
    deployed: int
    touched: int
    rank: int | None
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
        shared: tensors that several sites use. Each is trained once and counted once; sites name them in `Site.uses`.

    Raises:
        BadInput: two sites or two tensors have the same name, a shared tensor is missing or unused, or an operation, a
            parametrisation or a start is unknown.
    """

    method: str
    version: int
    shape: BackboneShape
    target_length: int | None
    budget: int | None
    mask_seed: int
    options: Mapping[str, Any]
    sites: tuple[Site, ...]
    shared: tuple[Trained, ...] = later(())

    def __post_init__(self) -> None:
        _check_names(self)
        for site in self.sites:
            operation_of(site)
            parametrisation(site)
        for named in self.tensors.values():
            check_start(named)

    def tensors_of(self, site: Site) -> dict[str, Named]:
        """The trained tensors that a site reads, its own and shared ones, by their key in the site."""
        named = {tensor.key: Named(site.key(tensor), tensor) for tensor in site.tensors}
        return named | {key: self._shared[name] for key, name in site.uses.items()}

    @cached_property
    def tensors(self) -> Mapping[str, Named]:
        """Every trained tensor once, by its name in states and files, in the order in which sites first read them."""
        return {named.key: named for site in self.sites for named in self.tensors_of(site).values()}

    @cached_property
    def _shared(self) -> dict[str, Named]:
        return {tensor.key: Named(f"{SHARED}/{tensor.key}", tensor) for tensor in self.shared}

    @cached_property
    def trainable(self) -> int:
        """Number of scalars that the optimizer holds."""
        return sum(named.tensor.count for named in self.tensors.values())

    @cached_property
    def effective(self) -> int:
        """Number of trainable scalars whose derivative is structurally non-zero (docs/mechanism.md)."""
        return sum(named.tensor.effective for named in self.tensors.values())

    @cached_property
    def deployed(self) -> int:
        """Number of scalars that inference needs in addition to the backbone (`Counts`)."""
        kept = {
            name: scalars
            for site in self.sites
            for name, scalars in operation_of(site).deployed(site, self.tensors_of(site), self._offered).items()
        }
        return sum(kept.values())

    @cached_property
    def touched(self) -> int:
        """Number of entries of the backbone that may differ after merging (`Counts`). Masked pairs take a while."""
        return touched(reach for reaches in self._reaches for reach in reaches)

    @cached_property
    def rank(self) -> int | None:
        """The highest rank that the change of one matrix can have; None if no matrix changes."""
        shapes = {weight.name: weight.shape for weight in self._offered.weights}
        return highest_rank((reach for reaches in self._reaches for reach in reaches), shapes)

    @cached_property
    def touches_by_seed(self) -> bool:
        """Whether `touched` depends on the mask seed: a pair of masked factors is merged."""
        return any(
            reaches and sum(tensor.mask.structure != "dense" for tensor in site.tensors) > 1
            for site, reaches in zip(self.sites, self._reaches, strict=True)
        )

    @cached_property
    def _offered(self) -> Inventory:
        return inventory(self.shape, self.target_length)

    @cached_property
    def _reaches(self) -> tuple[tuple[Reach, ...], ...]:
        """What each site changes in the backbone when it is merged."""
        return tuple(operation_of(site).reach(site, self.tensors_of(site), self._offered) for site in self.sites)

    @cached_property
    def soft_tokens(self) -> int:
        """Number of vectors by which the sites make the input sequence longer."""
        return sum(operation_of(site).soft_tokens(site) for site in self.sites)

    @cached_property
    def counts(self) -> Counts:
        """All numbers of the plan together, with those by operation and role."""
        by_operation: Counter[str] = Counter()
        by_role: Counter[str] = Counter()
        for site in self.sites:
            by_operation[site.operation] += site.count
            by_role[site.role] += site.count
        if self.shared:
            of_shared = sum(tensor.count for tensor in self.shared)
            by_operation[SHARED] = by_role[SHARED] = of_shared
        return Counts(
            trainable=self.trainable,
            effective=self.effective,
            deployed=self.deployed,
            touched=self.touched,
            rank=self.rank,
            by_operation=dict(by_operation),
            by_role=dict(by_role),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON; plans with equal digests train the same entries."""
        return digest(self.to_json(), 64)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data; a mask is stored as structure, quotas and seed, not as a list of entries."""
        document = {"format": FORMAT, "masks": MASK_VERSION, **outgoing(self), "shape": self.shape.to_json()}
        document["sites"] = [
            {**outgoing(site), "tensors": [_tensor_document(tensor) for tensor in site.tensors]} for site in self.sites
        ]
        if self.shared:
            document["shared"] = [_tensor_document(tensor) for tensor in self.shared]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """The inverse of `to_json`; fields that came after the first format may be missing (docs/mechanism.md).

        Raises:
            BadInput: the format or the masks are not those of this version, or a field is missing or unknown.
        """
        found, known = (document.get("format"), document.get("masks")), (FORMAT, MASK_VERSION)
        if found != known:
            raise BadInput(f"plan: format and mask versions {found} are not {known}, which this petscale reads")
        fields = {key: value for key, value in document.items() if key not in ("format", "masks")}
        try:
            fields["shape"] = BackboneShape.from_json(fields["shape"])
            fields["sites"] = tuple(_site(item) for item in fields["sites"])
            fields["shared"] = tuple(_trained(item) for item in fields.get("shared", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"plan: not a whole plan ({error})") from None
        return incoming(cls, fields, "plan")


def _tensor_document(tensor: Trained) -> dict[str, Any]:
    return {**outgoing(tensor), "mask": outgoing(tensor.mask)}


def _site(document: Mapping[str, Any]) -> Site:
    tensors = tuple(_trained(item) for item in document["tensors"])
    return incoming(Site, {**document, "tensors": tensors}, "plan: a site")


def _trained(document: Mapping[str, Any]) -> Trained:
    mask = document["mask"]
    dead = tuple((start, stop) for start, stop in mask["dead"])
    rebuilt = incoming(Mask, {**mask, "quotas": tuple(mask["quotas"]), "dead": dead}, "plan: a mask")
    return incoming(Trained, {**document, "shape": tuple(document["shape"]), "mask": rebuilt}, "plan: a tensor")


def _check_names(plan: Plan) -> None:
    """Refuse equal names: they are keys of blocks, files and random streams, so two tensors would become one."""
    if twice := _twice(site.name for site in plan.sites):
        raise BadInput(f"plan: {plan.method}: two sites are named {twice}; names must differ")
    if twice := _twice(tensor.key for tensor in plan.shared):
        raise BadInput(f"plan: {plan.method}: two shared tensors are named {twice}; names must differ")
    shared = {tensor.key for tensor in plan.shared}
    for site in plan.sites:
        if twice := _twice((*(tensor.key for tensor in site.tensors), *site.uses)):
            raise BadInput(f"plan: {plan.method}: {site.name} has two tensors {twice}; keys must differ")
        if unknown := set(site.uses.values()) - shared:
            raise BadInput(f"plan: {plan.method}: {site.name} uses {min(unknown)}, which the plan does not share")
    if unused := shared - {name for site in plan.sites for name in site.uses.values()}:
        raise BadInput(f"plan: {plan.method}: the shared tensor {min(unused)} is used by no site")
    own = [site.key(tensor) for site in plan.sites for tensor in site.tensors]
    if twice := _twice((*own, *(f"{SHARED}/{key}" for key in shared))):
        raise BadInput(f"plan: {plan.method}: two tensors are named {twice}; names must differ")


def _twice(names: Iterable[str]) -> str | None:
    """The first name that occurs twice; None if all differ."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
