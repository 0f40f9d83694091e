"""Rules and margins of the analysis, set in the study file before the run and copied into its plan.

Points are score points from 0 to 100; a margin is the smallest difference that counts as one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ClaimId = Literal[
    "gap-shrinks",
    "reach-full",
    "structure-less",
    "speed-differs",
    "adjacent-faster",
    "high-falls",
    "jump",
    "low-equal-methods",
    "low-equal-tasks",
    "low-rises",
    "transfer-type",
    "transfer-scale",
    "adapters-lora-reach",
    "pfeiffer-below",
    "norms-competitive",
    "hybrids-rate-sensitive",
    "adapters-slow-small",
    "additive-slow-inference",
    "kronecker-memory",
    "shifted-prefix-below",
    "bf16-masters-below",
]
"""The claims of Su et al. and of Lialin et al. that can be tested, and two on faults behind the latter's tables."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MethodsSettings(_Settings):
    """Means and gaps of published methods (figures 1 and 3)."""

    permutations: int = Field(2_000, ge=100, description="number of draws of the permutation test of the gap")


class StructureSettings(_Settings):
    """Groups of equal budget (figure 5, table 2)."""

    permutations: int = Field(2_000, ge=100, description="number of draws of the permutation test of each group's gap")


class ConvergenceSettings(_Settings):
    """The time to a common target, and the rule for when a single run has converged (figure 6)."""

    tolerance: float = Field(3.0, gt=0, description="points by which the smoothed dev score may be below its best")
    smoothing: int = Field(3, ge=1, description="evaluations in the centred running mean of the dev score (odd)")
    rise: float = Field(5.0, gt=0, description="points above its baseline that a run must reach to have a step")
    target: float = Field(
        0.9, gt=0, lt=1, description="common target, as a share of the way from baseline to the lower median best"
    )

    @model_validator(mode="after")
    def _rule_is_sound(self) -> ConvergenceSettings:
        if self.smoothing % 2 == 0:
            raise ValueError("smoothing: a centred running mean needs an odd number of evaluations")
        if self.rise <= self.tolerance:
            raise ValueError("rise: must exceed tolerance, or a flat run converges at its first step")
        return self


class ThresholdSettings(_Settings):
    """Low and high parameter thresholds (figure 7)."""

    rise_points: float = Field(5.0, gt=0, description="low threshold: points above the measured budget-0 baseline")
    margin_points: float = Field(
        3.0, gt=0, description="high threshold: points by which a score may be below full fine-tuning"
    )
    jump_percent: float = Field(
        80.0, gt=0, le=100, description="percent of full fine-tuning that should be reached just past the low threshold"
    )


class TransferSettings(_Settings):
    """Zero-shot transfer (figure 9)."""

    minimum_points: float = Field(
        5.0, gt=0, description="points above chance that cells trained on source and target need to count"
    )


class LearntSettings(_Settings):
    """Which tasks count as evidence."""

    points: float = Field(
        5.0, gt=0, description="points above the measured baseline at which full fine-tuning has learnt a task"
    )


class DiscoverySettings(_Settings):
    """Control of false discoveries over the claims of a study."""

    rate: float = Field(0.05, gt=0, lt=1, description="share of the decided claims that may be wrong on average")
    method: Literal["bh", "by"] = Field(
        "bh", description="bh: claims are independent or depend positively; by: any dependence, much stricter"
    )


class Margins(_Settings):
    """Differences up to which results count as equal; they are set before the run."""

    full_points: float = Field(2.0, gt=0, description="points below full fine-tuning within which a method reaches it")
    competitive_points: float = Field(
        3.0, gt=0, description="points below full fine-tuning within which a method of few parameters is competitive"
    )
    cost_percent: float = Field(
        5.0, gt=0, lt=100, description="smallest change of speed or memory that matters, in percent of the other method"
    )
    sensitivity_points: float = Field(
        2.0, gt=0, description="smallest difference of what two methods lose at a rate that is not the best"
    )
    gap_points: float = Field(1.0, gt=0, description="smallest between-method standard deviation that matters")
    speed_factor: float = Field(1.25, gt=1, description="smallest ratio of steps to convergence that matters")
    threshold_factor: float = Field(3.0, gt=1, description="thresholds within this factor are about equal")
    threshold_shift: float = Field(1.5, gt=1, description="smallest factor between two sizes that matters")
    transfer_percent: float = Field(10.0, gt=0, description="smallest change of a share above chance that matters")


class AnalysisSettings(_Settings):
    """All settings of the analysis."""

    methods: MethodsSettings = Field(default=MethodsSettings(), description="means and gaps of methods")
    structure: StructureSettings = Field(default=StructureSettings(), description="groups of equal budget")
    convergence: ConvergenceSettings = Field(default=ConvergenceSettings(), description="steps to convergence")
    threshold: ThresholdSettings = Field(default=ThresholdSettings(), description="score against budget")
    transfer: TransferSettings = Field(default=TransferSettings(), description="zero-shot transfer")
    learnt: LearntSettings = Field(default=LearntSettings(), description="which tasks count as evidence")
    discoveries: DiscoverySettings = Field(
        default=DiscoverySettings(), description="control of false discoveries over all claims"
    )
    margins: Margins = Field(default=Margins(), description="equivalence and non-inferiority margins")
    claims: tuple[ClaimId, ...] | None = Field(
        None,
        min_length=1,
        description="claims that the study is designed for, the only ones it lists; all on its methods when absent",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="two-sided level of every interval")
    bootstrap_draws: int = Field(2_000, ge=200, description="number of draws of the bootstrap of thresholds")
    power_draws: int = Field(
        40, ge=0, description="simulated studies that tell how likely each claim was to be decided; 0 leaves power out"
    )
    seed: int = Field(0, ge=0, description="seed of bootstraps, permutations and simulated studies")
