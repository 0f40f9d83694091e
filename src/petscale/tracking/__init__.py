"""Tracking: one process sends the metrics and files that cells and studies left in `results/` to MLflow.

`trace` reads the files of `results/`, `store` is the interface to MLflow, `send` makes MLflow hold what the files say,
and `verify` reports the differences. Training imports nothing from this package, and the report reads nothing from it.
"""
