"""Plans as documents: old digests hold, old plans are read, and a plan that makes no sense is one clear line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from petscale.backbones.catalogue import lookup
from petscale.errors import BadInput
from petscale.tuning.plan import Plan
from petscale.tuning.registry import make_plan
from petscale.tuning.site import Trained
from petscale.tuning.sites import DENSE

MIX = {"operations": ["add", "add-hidden", "concat", "plug"], "rank": 2, "bottleneck": 2}
KEYS = {"rank": 4, "targets": ["*.k"]}

# Computed at commit 166f865: backbone, method, budget, target length, options, start of the digest. Plans with a
# budget have mask seed 3.
BEFORE: list[tuple[str, str, int | None, int | None, dict[str, Any] | None, str]] = [
    ("t5-v1_1-small", "full", None, None, None, "2711cabf904ca4a1"),
    ("t5-v1_1-small", "full", None, 1, None, "b93d5d7b348e9cca"),
    ("t5-v1_1-small", "frozen", None, None, None, "b47a9595eb38665c"),
    ("t5-v1_1-small", "prompt", None, None, None, "3a5bb198cb023512"),
    ("t5-v1_1-small", "prompt-50", None, None, None, "198948226c5f08f0"),
    ("t5-v1_1-small", "bitfit", None, None, None, "8596919bcda72dc8"),
    ("t5-v1_1-small", "bitfit-t5-xxl", None, None, None, "dd3982d411deb5b3"),
    ("t5-v1_1-small", "bitfit-all", None, None, None, "dc036e0f8ac98fef"),
    ("t5-v1_1-small", "lora", None, None, None, "a4d130f23705a930"),
    ("t5-v1_1-small", "lora", None, 1, None, "db984ddb956afbf1"),
    ("t5-v1_1-small", "adapter", None, None, None, "a68168c0b9eb8ebb"),
    ("t5-v1_1-small", "apet-adjacent", 1000, None, None, "0ed5e772c2f8d793"),
    ("t5-v1_1-small", "apet-discrete", 1000, None, None, "3911191bd3550b6c"),
    ("t5-v1_1-small", "apet-adjacent", 1000, None, MIX, "cf1e89c982f57c9d"),
    ("t5-v1_1-small", "lora", None, None, KEYS, "3fa69a49dd938eae"),
    ("t5-large", "full", None, None, None, "3ac645608c3e4084"),
    ("t5-large", "full", None, 1, None, "b19ef87815d89274"),
    ("t5-large", "frozen", None, None, None, "a6eb3fd27d6cae17"),
    ("t5-large", "prompt", None, None, None, "44a0c0adda3c3abd"),
    ("t5-large", "prompt-50", None, None, None, "a302cca218e36708"),
    ("t5-large", "bitfit", None, None, None, "5d8d1b59c25fa7de"),
    ("t5-large", "bitfit-t5-xxl", None, None, None, "8d26e387c2c13741"),
    ("t5-large", "bitfit-all", None, None, None, "50a85e51f087a358"),
    ("t5-large", "lora", None, None, None, "56fa115ce17d7445"),
    ("t5-large", "lora", None, 1, None, "1de4b27493017930"),
    ("t5-large", "adapter", None, None, None, "4496aacadd33b9e5"),
    ("t5-large", "apet-adjacent", 1000, None, None, "579939ec5010d4c4"),
    ("t5-large", "apet-discrete", 1000, None, None, "276ed924a6ba0eca"),
    ("t5-large", "apet-adjacent", 1000, None, MIX, "929a57eadb78e443"),
    ("t5-large", "lora", None, None, KEYS, "dea1c99c499a600c"),
    ("bert-small", "full", None, None, None, "3f7ab53da6dc69d6"),
    ("bert-small", "full", None, 1, None, "f376a8729d729ea9"),
    ("bert-small", "frozen", None, None, None, "a98baddeba81df55"),
    ("bert-small", "prompt", None, None, None, "a027d0d7302be5f3"),
    ("bert-small", "prompt-50", None, None, None, "0e1ac7285e58ac4f"),
    ("bert-small", "bitfit", None, None, None, "1767db067639da7a"),
    ("bert-small", "bitfit-all", None, None, None, "c6485a13ba4f3117"),
    ("bert-small", "lora", None, None, None, "fe42ba545fd69905"),
    ("bert-small", "lora", None, 1, None, "65db13ff4d4de720"),
    ("bert-small", "adapter", None, None, None, "8400282f021378fb"),
    ("bert-small", "apet-adjacent", 1000, None, None, "1f5a0d7a468d5b9d"),
    ("bert-small", "apet-discrete", 1000, None, None, "1407406fa72ac47b"),
    ("bert-small", "lora", None, None, KEYS, "0a7fd39272e0c956"),
]


@pytest.mark.parametrize(("backbone", "method", "budget", "target", "options", "digest"), BEFORE)
def test_digests_of_before_stay(
    backbone: str, method: str, budget: int | None, target: int | None, options: dict[str, Any] | None, digest: str
) -> None:
    """Equal digests mean equal documents, so files that older versions wrote hold the plans of today."""
    seed = 0 if budget is None else 3
    plan = make_plan(
        lookup(backbone).shape, method, budget=budget, mask_seed=seed, options=options, target_length=target
    )
    assert plan.digest[:16] == digest
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.digest == plan.digest


def _lora() -> Plan:
    return make_plan(lookup("bert-small").shape, "lora")


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(_lora().to_json()))
    return document


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("stages",), "plan: field stages is unknown"),
        (("shape", "experts"), "backbone shape: field experts is unknown"),
        (("sites", 0, "gate"), "plan: a site: field gate is unknown"),
        (("sites", 0, "tensors", 0, "dtype"), "plan: a tensor: field dtype is unknown"),
        (("sites", 0, "tensors", 0, "mask", "positions"), "plan: a mask: field positions is unknown"),
    ],
)
def test_a_field_of_a_newer_version_is_one_line(path: tuple[str | int, ...], line: str) -> None:
    """It may change what the plan does, so it must not be passed over."""
    document = _document()
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = 1
    with pytest.raises(BadInput, match=line):
        Plan.from_json(document)


@pytest.mark.parametrize("field", ["method", "sites", "shape", "budget"])
def test_a_missing_field_is_one_line(field: str) -> None:
    document = _document()
    del document[field]
    with pytest.raises(BadInput, match=f"plan: .*{field}"):
        Plan.from_json(document)


def test_site_names_are_unique() -> None:
    """Regression guard: two equal names lost parameters; the plan said 920 and the optimizer held 115."""
    plan = _lora()
    first, second, *_ = plan.sites
    with pytest.raises(BadInput, match=f"plan: lora: two sites are named {first.name}; names must differ"):
        replace(plan, sites=(first, replace(second, name=first.name)))


def test_keys_of_a_site_are_unique() -> None:
    plan = _lora()
    (site, *_), tensor = plan.sites, plan.sites[0].tensors[0]
    with pytest.raises(BadInput, match="has two tensors down; keys must differ"):
        replace(plan, sites=(replace(site, tensors=(tensor, tensor)),))


def test_names_that_meet_in_the_file_are_refused() -> None:
    """`a` with `b/c` and `a/b` with `c` would be one key of the file."""
    plan = _lora()
    site, tensor = plan.sites[0], plan.sites[0].tensors[0]
    sites = (
        replace(site, name="a", tensors=(replace(tensor, key="b/c"),)),
        replace(site, name="a/b", tensors=(replace(tensor, key="c"),)),
    )
    with pytest.raises(BadInput, match="two tensors are named a/b/c"):
        replace(plan, sites=sites)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"operation": "multiply"}, "unknown operation 'multiply'"),
        ({"parametrisation": "dense"}, "unknown parametrisation 'dense'"),
        ({"uses": {"rule": "rule"}}, "uses rule, which the plan does not share"),
    ],
)
def test_a_site_that_cannot_be_is_one_line(change: dict[str, Any], line: str) -> None:
    plan = _lora()
    with pytest.raises(BadInput, match=line):
        replace(plan, sites=(replace(plan.sites[0], **change),))


def test_a_shared_tensor_is_used() -> None:
    with pytest.raises(BadInput, match="the shared tensor rule is used by no site"):
        replace(_lora(), shared=(Trained("rule", (2, 2), DENSE, "zeros", 4),))


@pytest.mark.parametrize(
    ("start", "settings", "line"),
    [
        ("glorot", {}, "unknown start 'glorot'; starts: zeros"),
        ("constant", {}, "start constant needs a setting value"),
        ("zeros", {"std": 1.0}, "start zeros takes no setting 'std'"),
        ("normal", {"std": "wide"}, "start normal: std cannot be 'wide'"),
        ("uniform", {"bound": float("inf")}, "start uniform: bound cannot be inf"),
    ],
)
def test_a_start_that_does_not_exist_is_one_line(start: str, settings: dict[str, Any], line: str) -> None:
    plan = _lora()
    site = plan.sites[0]
    tensor = replace(site.tensors[0], start=start, start_settings=settings)
    with pytest.raises(BadInput, match=line):
        replace(plan, sites=(replace(site, tensors=(tensor,)),))
