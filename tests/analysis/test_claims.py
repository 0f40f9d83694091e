"""Each claim gets each of the three verdicts, on synthetic studies that are made to get it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.studies import (
    AS_CLAIMED,
    UNLIKE_CLAIMED,
    Study,
    as_claimed,
    design,
    too_noisy,
    unlike_claimed,
    with_holes,
)
from petscale.analysis.claims import speed
from petscale.analysis.interval import Estimate
from petscale.analysis.verdict import (
    all_at_least,
    all_equal,
    at_least,
    corrected_level,
    increase,
    no_increase,
    nonzero,
    only_if_all,
)

CLAIMS = [
    "gap-shrinks", "gap-shrinks-log-odds", "reach-full", "structure-less", "structure-less-log-odds", "speed-differs",
    "adjacent-faster", "high-falls", "jump", "jump-above-baseline", "low-equal-methods", "low-equal-tasks",
    "low-rises", "transfer-type", "transfer-type-above-chance", "transfer-scale", "transfer-scale-above-chance",
]  # fmt: skip


def _verdict(study: Study, claim: str, ladder: str = "mini-t5") -> str:
    claims = study.tables["claims"].set_index(["id", "ladder"])
    return str(claims.loc[(claim, ladder), "verdict"])


def test_the_table_has_every_claim_on_every_ladder() -> None:
    claims = as_claimed().tables["claims"]
    assert claims["id"].drop_duplicates().tolist() == CLAIMS
    assert len(claims) == 2 * len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS)
def test_supported(claim: str) -> None:
    assert _verdict(as_claimed(), claim) == "supported"


@pytest.mark.parametrize("claim", CLAIMS)
def test_not_supported(claim: str) -> None:
    assert _verdict(unlike_claimed(), claim) == "not supported"


@pytest.mark.parametrize("claim", CLAIMS)
def test_inconclusive(claim: str) -> None:
    assert _verdict(too_noisy(), claim) == "inconclusive"


@pytest.fixture(scope="module")
def worst_gone() -> Study:
    """Gaps that stay; but on the largest backbone the worst method diverges."""

    def fate(cell: dict[str, Any]) -> str:
        lost = cell["method"] == "prompt" and cell["scale"] == 1
        return "diverged" if lost else "done"

    return Study(UNLIKE_CLAIMED, design(), fate)


def test_gaps_do_not_shrink_for_want_of_the_worst_method(worst_gone: Study) -> None:
    claims = worst_gone.tables["claims"].set_index("id")
    assert claims.loc["gap-shrinks", "verdict"] == "not supported"
    assert "not at both ends: prompt" in claims.loc["gap-shrinks", "detail"]
    assert claims.loc["gap-shrinks", "diverged"] > 0


def test_each_claim_leads_back_to_its_cells(worst_gone: Study) -> None:
    claims, cells = worst_gone.tables["claims"], worst_gone.tables["cells"].set_index("cell")
    assert (claims["planned"] > 0).all()
    for row in claims.itertuples():
        behind = cells.loc[row.cells.split(";")]
        assert len(behind) == row.planned
        assert set(behind["ladder"]) == {row.ladder}


def test_a_claim_on_all_is_not_supported_by_some() -> None:
    assert only_if_all("supported", ["untested"]) == "inconclusive"
    assert only_if_all("supported", []) == "supported"
    assert only_if_all("not supported", ["untested"]) == "not supported"


def test_pairs_of_which_one_never_converged_forbid_to_deny_a_difference() -> None:
    """There are five ties, and ten pairs in which discrete alone never converged: no ratio, but no tie."""
    tables = unlike_claimed().tables
    pairs = tables["convergence_pairs"].copy()
    largest = pairs["backbone"] == pairs.loc[pairs["scale"].idxmax(), "backbone"]
    evidence = SimpleNamespace(pairs=pairs, largest=pairs.loc[largest, "backbone"].iloc[0])
    assert speed._open("not supported", evidence) == "not supported"  # type: ignore[arg-type]
    some = pairs.index[largest][:2]
    pairs.loc[some, "ratio"], pairs.loc[some, "first"] = math.nan, "adjacent"
    assert speed._open("not supported", evidence) == "inconclusive"  # type: ignore[arg-type]
    assert speed._open("supported", evidence) == "supported"  # type: ignore[arg-type]


def test_a_task_that_was_not_learnt_has_no_high_threshold() -> None:
    """Full fine-tuning is six points above the baseline, so the high level would be below the low one."""
    study = Study(replace(AS_CLAIMED, full=8.0, offsets={}), design(ladders=(("mini-t5", "t5"),)))
    table = study.tables["threshold"]
    assert set(table["high_censored"]) == {"full near baseline"}
    assert table["high_threshold"].isna().all()
    assert _verdict(study, "high-falls") == "inconclusive"


@pytest.mark.parametrize("study", [as_claimed, unlike_claimed, too_noisy, with_holes])
def test_no_verdict_without_an_interval_that_decides_it(study) -> None:  # type: ignore[no-untyped-def]
    claims = study().tables["claims"]
    decided = claims[claims["verdict"] != "inconclusive"]
    assert decided[["value", "low", "high"]].notna().all(axis=None)
    assert (decided[["statistic", "rule", "n", "table"]] != "").all(axis=None)


def _estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 1.0, 3)


UNBOUNDED = Estimate(1.0, seeds=1)


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (lambda e: increase(e, 1.0), 0.5, 2.0, "supported"),
        (lambda e: increase(e, 1.0), -0.5, 0.9, "not supported"),
        (lambda e: increase(e, 1.0), -0.5, 1.1, "inconclusive"),
        (lambda e: increase(e, 1.0), 0.1, math.inf, "supported"),
        (lambda e: nonzero(e, 1.0), -3.0, -0.1, "supported"),
        (lambda e: nonzero(e, 1.0), -0.9, 0.9, "not supported"),
        (lambda e: nonzero(e, 1.0), -0.9, 1.1, "inconclusive"),
        (lambda e: at_least(e, -2.0), -2.0, 1.0, "supported"),
        (lambda e: at_least(e, -2.0), -5.0, -2.1, "not supported"),
        (lambda e: at_least(e, -2.0), -5.0, 1.0, "inconclusive"),
        (lambda e: no_increase(e, 1.0), -5.0, 0.9, "supported"),
        (lambda e: no_increase(e, 1.0), 0.1, 2.0, "not supported"),
        (lambda e: no_increase(e, 1.0), -0.1, 2.0, "inconclusive"),
    ],
)
def test_the_rules(rule, low: float, high: float, verdict: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(_estimate(low, high)) == verdict
    assert rule(UNBOUNDED) == "inconclusive"


def test_all_of_them_rules() -> None:
    good, bad, wide = _estimate(-1, 1), _estimate(-5, -3), _estimate(-3, 3)
    assert all_at_least([good, good], [good, good], -2.0) == "supported"
    assert all_at_least([good, bad], [good, bad], -2.0) == "not supported"
    assert all_at_least([good, bad], [good, wide], -2.0) == "inconclusive"  # not after correction
    assert all_at_least([], [], -2.0) == "inconclusive"
    assert all_equal([good, good], [good, good], 2.0) == "supported"
    assert all_equal([good, bad], [good, bad], 2.0) == "not supported"
    assert all_equal([good, wide], [good, wide], 2.0) == "inconclusive"
    assert all_equal([UNBOUNDED], [UNBOUNDED], 2.0) == "inconclusive"
    assert corrected_level(0.95, 5) == pytest.approx(0.99)
