"""The evidence from which a claim is decided, and the row that states the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from petscale.analysis import means
from petscale.analysis.examples import Examples
from petscale.analysis.interval import NOTHING, Estimate
from petscale.analysis.learnt import Taught, taught
from petscale.analysis.readings import Reading
from petscale.analysis.threshold import Threshold
from petscale.analysis.verdict import INCONCLUSIVE, NOT_MEASURABLE, Decide, Verdict, p_value
from petscale.study.config.analysis import AnalysisSettings

Need = Literal["methods", "efficiency", "rates"]
NO_EVIDENCE = "no finished cells bear on it"


@dataclass(frozen=True)
class Evidence:
    """The evidence of one ladder in one reading. `backbones` ascend in size."""

    ladder: str
    reading: Reading
    backbones: Sequence[str]
    cells: pd.DataFrame  # of readings.read_cells
    learnt: pd.DataFrame  # of learnt.learnt_table
    pairs: pd.DataFrame  # of convergence.pairs_table
    thresholds: Sequence[Threshold]
    ratios: pd.DataFrame  # of transfer.with_ratios
    examples: Examples
    settings: AnalysisSettings
    listed: frozenset[str] = frozenset()  # claims that the study lists
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)  # of rates.losses_table
    measurements: pd.DataFrame = field(default_factory=pd.DataFrame)  # of efficiency.measurements_table
    obstacles: Mapping[str, str] = field(default_factory=dict)  # claim -> why no result of this design can decide it

    @property
    def smallest(self) -> str:
        """The backbone of the fewest parameters, which is the first of the ladder."""
        return self.backbones[0]

    @property
    def largest(self) -> str:
        """The backbone of the most parameters, which is the last of the ladder."""
        return self.backbones[-1]

    def taught(self, cells: pd.DataFrame, backbones: Sequence[str]) -> Taught:
        """The tasks of the cells that are learnt on all the given backbones, and why the others are not."""
        return taught(self.learnt, cells, backbones)


@dataclass(frozen=True)
class Claim:
    """A finding of a paper."""

    id: str
    text: str
    table: str  # the CSV table with the numbers behind it
    about: tuple[str, ...] = ()  # methods that it compares; a study without them does not list it
    pairs: tuple[tuple[str, str], ...] = ()  # two methods, or two ways of running one, that are compared
    needs: Need = "methods"  # the experiment, or the searches for rates, from which it is decided
    at: Literal["every", "smallest"] = "every"  # the backbones of a ladder on which it is decided
    by: str = ""  # the option or recipe key in which, alone, the two of each pair must differ


@dataclass(frozen=True)
class ClaimRow:
    """The result of one claim on one ladder in one reading."""

    claim: Claim
    ladder: str
    reading: Reading
    verdict: Verdict
    detail: str
    behind: pd.DataFrame  # the planned cells from which it is computed
    statistic: str = ""
    unit: str = ""
    estimate: Estimate = NOTHING
    p: float = 1.0  # of `verdict.p_value`
    rule: str = ""  # the test that decides, with its margin
    n: str = ""
    left_out: str = ""  # the tasks that do not count, with the reason

    def columns(self) -> dict[str, object]:
        """The columns of this row in the claims table."""
        return {
            "id": self.claim.id,
            "claim": self.claim.text,
            "ladder": self.ladder,
            "reading": self.reading,
            "verdict": self.verdict,
            "statistic": self.statistic,
            "sign": self.estimate.sign,
            "value": self.estimate.value,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "unit": self.unit,
            "p": self.p,
            "seeds": self.estimate.seeds,
            "n": self.n,
            "rule": self.rule,
            "detail": self.detail,
            "not_counted": self.left_out,
            "table": self.claim.table,
            **means.account(self.behind),
        }


def decided(
    evidence: Evidence,
    claim: Claim,
    verdicts: Decide,
    *,
    statistic: str,
    unit: str,
    estimate: Estimate,
    rule: str,
    n: str,
    detail: str,
    behind: pd.DataFrame,
    left_out: str = "",
) -> ClaimRow:
    """The row of a claim with a statistic; `verdicts` gives the verdict at any level of the intervals."""
    confidence = evidence.settings.confidence
    return ClaimRow(
        claim, evidence.ladder, evidence.reading, verdicts(confidence), detail, behind, statistic, unit, estimate,
        p_value(verdicts, confidence), rule, n, left_out,
    )  # fmt: skip


def undecided(evidence: Evidence, claim: Claim, why: str = NO_EVIDENCE, behind: pd.DataFrame | None = None) -> ClaimRow:
    """The row of a claim that could be decided, but lacks finished cells."""
    cells = evidence.cells.iloc[:0] if behind is None else behind
    return ClaimRow(claim, evidence.ladder, evidence.reading, INCONCLUSIVE, why, cells)


def not_measurable(
    evidence: Evidence, claim: Claim, why: str, behind: pd.DataFrame | None = None, left_out: str = ""
) -> ClaimRow:
    """The row of a claim that this study cannot decide, however its missing cells turn out, with the reason."""
    cells = evidence.cells.iloc[:0] if behind is None else behind
    return ClaimRow(claim, evidence.ladder, evidence.reading, NOT_MEASURABLE, why, cells, left_out=left_out)


def nothing_learnt(evidence: Evidence, claim: Claim, behind: pd.DataFrame, counted: Taught) -> ClaimRow:
    """The row of a claim none of whose tasks counts; while cells are missing, that may still change."""
    if (behind["status"] == "missing").any():
        return undecided(evidence, claim, f"no task counts yet: {counted.said}", behind)
    return not_measurable(evidence, claim, "even full fine-tuning has not learnt a task", behind, counted.said)


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
