"""What a job asks Slurm for beyond the estimates of its cell."""

from __future__ import annotations

INPUT_MEMORY_MB = 8000
"""Preparing rows and tokens, and fetching a backbone of the usual sizes."""

GROWTH = 3
"""Most that memory grows by: attempts are also how long cells get their time, and no cell needs ten times its share."""


def memory_mb(wanted: int, attempt: int, most: int | None) -> int:
    """Megabytes of an attempt (from 1): grows with it up to `GROWTH`-fold, never above what the site's nodes have."""
    grown = wanted * min(attempt, GROWTH)
    return min(grown, most or grown)


def cpus(devices: int) -> int:
    """Cores: a process a device and its helpers when there are several; the number of torch's threads is the rule's."""
    return 2 * devices if devices > 1 else 1
