"""The report of a study: one HTML page with its figures, tables and verdicts, which needs no network."""
