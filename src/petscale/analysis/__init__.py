"""Statistical analysis of finished cells: tables, intervals and verdicts, as pure functions of tables without torch."""
