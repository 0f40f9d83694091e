"""The two reference methods: full fine-tuning, and the frozen backbone, which trains nothing."""

from __future__ import annotations

from collections.abc import Iterator

from petscale.tuning.inventory import Inventory
from petscale.tuning.method import Method, Options, Request
from petscale.tuning.plan import Site
from petscale.tuning.sites import whole_weight


def _every_weight(offered: Inventory, _request: Request[Options]) -> Iterator[Site]:
    return (whole_weight(weight) for weight in offered.weights)


def _nothing(_offered: Inventory, _request: Request[Options]) -> tuple[Site, ...]:
    return ()


FULL = Method(
    name="full",
    version=1,
    reference="fine-tuning of every parameter, Su et al. 2023 section 4",
    operations=("add",),
    formula="f(h) with W + W1 for every weight W",
    structure="dense",
    identity_at_start=True,
    learning_rate_key="full",
    build=_every_weight,
)

FROZEN = Method(
    name="frozen",
    version=1,
    reference="the backbone as it is: the measured baseline",
    operations=(),
    formula="f(h)",
    structure="none",
    identity_at_start=True,
    learning_rate_key="frozen",
    build=_nothing,
)
