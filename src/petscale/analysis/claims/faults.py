"""Whether faults of the code behind the tables of Lialin et al. 2024 lower scores, each shown by a pair of variants."""

from __future__ import annotations

from petscale.analysis.claims.comparison import everywhere
from petscale.analysis.claims.row import Claim, ClaimRow, Evidence


def first_above(evidence: Evidence, claim: Claim) -> ClaimRow:
    """The first of each pair scores higher than the second by what matters, on every size."""
    return everywhere(evidence, claim, claim.pairs, evidence.settings.margins.full_points)
