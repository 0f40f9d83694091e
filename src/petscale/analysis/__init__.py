"""From finished cells to tables, intervals and verdicts. Pure functions on tidy tables; no torch (design section 7)."""
