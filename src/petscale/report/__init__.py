"""The report: figures, tables and verdicts of one study as one page that needs no network (design section 7)."""
