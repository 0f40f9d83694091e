"""The files that a finished cell publishes in its folder, by name."""

from __future__ import annotations

from pathlib import Path

METRICS = "metrics.jsonl"  # the spool of the training loop
SYSTEM = "system.jsonl"  # the spool of system metrics
DELTA = "delta.safetensors"
CURVE = "curve.csv"

SPOOLS = (METRICS, SYSTEM)
"""Metrics that grow in the state folder while the cell runs, and are copied beside the record at its end."""

PATTERNS = (*SPOOLS, DELTA, CURVE, "predictions*.parquet")
"""Files of a cell in addition to its record. A diverged cell has no predictions; a cell of MNLI has two such files."""


def predictions(split: str) -> str:
    """Name of the file with the answers to the examples of a test set."""
    return "predictions.parquet" if split == "test" else f"predictions-{split}.parquet"


def published(folder: Path) -> list[Path]:
    """The files in a cell's folder that its record must name: all but the record itself, sorted by name."""
    return sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
