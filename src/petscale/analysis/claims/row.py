"""The evidence from which a claim is decided, and the row that states the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.interval import NOTHING, Estimate
from petscale.analysis.threshold import Threshold
from petscale.analysis.verdict import Verdict
from petscale.study.config.analysis import AnalysisSettings

NO_EVIDENCE = "no finished cells bear on it"


@dataclass(frozen=True)
class Evidence:
    """The evidence of one ladder. `backbones` ascend in size."""

    ladder: str
    backbones: Sequence[str]
    cells: pd.DataFrame
    pairs: pd.DataFrame  # of convergence.pairs_table
    thresholds: Sequence[Threshold]
    ratios: pd.DataFrame  # of transfer.with_ratios
    examples: Examples
    settings: AnalysisSettings

    @property
    def scaled(self) -> bool:
        """Whether there are two scales to compare."""
        return len(self.backbones) > 1

    @property
    def smallest(self) -> str:
        return self.backbones[0]

    @property
    def largest(self) -> str:
        return self.backbones[-1]


@dataclass(frozen=True)
class ClaimRow:
    """The result of one claim on one ladder: statistic, interval, n, verdict, and where the numbers come from."""

    claim_id: str
    claim: str
    ladder: str
    statistic: str
    unit: str
    estimate: Estimate
    verdict: Verdict
    rule: str  # the test that decides, with its margin
    n: str
    detail: str
    table: str  # the CSV table with the numbers behind it
    behind: pd.DataFrame  # the planned cells from which it is computed

    def columns(self) -> dict[str, object]:
        """The columns of this row in the claims table."""
        return {
            "id": self.claim_id,
            "claim": self.claim,
            "ladder": self.ladder,
            "verdict": self.verdict,
            "statistic": self.statistic,
            "value": self.estimate.value,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "unit": self.unit,
            "seeds": self.estimate.seeds,
            "n": self.n,
            "rule": self.rule,
            "detail": self.detail,
            "table": self.table,
            **means.account(self.behind),
        }


def undecided(
    claim_id: str,
    claim: str,
    evidence: Evidence,
    table: str,
    why: str = NO_EVIDENCE,
    behind: pd.DataFrame | None = None,
) -> ClaimRow:
    """The row of a claim that the study cannot decide because it lacks evidence."""
    cells = evidence.cells.iloc[:0] if behind is None else behind
    return ClaimRow(claim_id, claim, evidence.ladder, "", "", NOTHING, "inconclusive", "", "", why, table, cells)


def named(evidence: Evidence, cells: Iterable[str]) -> pd.DataFrame:
    """The planned cells with these paths."""
    return evidence.cells[evidence.cells["cell"].isin(set(cells))]


def words(estimate: Estimate, digits: int = 1) -> str:
    """An estimate as text, such as "+1.2 [-0.3, +2.7]"."""
    if not estimate.bounded:
        return f"{estimate.value:+.{digits}f} (no interval)"
    return f"{estimate.value:+.{digits}f} [{estimate.low:+.{digits}f}, {estimate.high:+.{digits}f}]"


def worst(estimates: Sequence[Estimate]) -> Estimate:
    """The lowest estimate, which decides a claim about all of them."""
    return min(estimates, key=lambda one: one.value)
