"""The claims of Su et al. (EMNLP 2023) and of Lialin et al. (2024), each with the statistical test that decides it."""

from petscale.analysis.claims.row import ClaimRow, Evidence
from petscale.analysis.claims.table import TESTS, claims_markdown, claims_table, decided_markdown, listed

__all__ = ["TESTS", "ClaimRow", "Evidence", "claims_markdown", "claims_table", "decided_markdown", "listed"]
