"""Resource requests of jobs that do not come directly from the estimates of a cell."""

from __future__ import annotations

INPUT_MEMORY_MB = 8000
"""Memory for preparing rows and tokens, and for making the folder of a backbone of usual size."""

GROWTH = 3
"""Largest factor by which memory grows with attempts: long cells need many attempts, but not ever more memory."""


def memory_mb(wanted: int, attempt: int, most: int | None) -> int:
    """Megabytes for an attempt (from 1); they grow with it up to `GROWTH`-fold, within the site's largest node."""
    grown = wanted * min(attempt, GROWTH)
    return min(grown, most or grown)


def cpus(devices: int) -> int:
    """Number of cores: with several devices, two for each process; the rule sets the number of torch's threads."""
    return 2 * devices if devices > 1 else 1
