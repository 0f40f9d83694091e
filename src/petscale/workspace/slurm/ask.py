"""Questions to Slurm's own commands; a Slurm that does not answer has nothing to say."""

from __future__ import annotations

import os
import subprocess
from functools import cache


def ask(*words: str) -> str:
    """What a command of Slurm prints; empty where it is absent or silent for a minute."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@cache
def time_limit(partition: str | None) -> int | None:
    """Minutes that a partition (the default one if None) lets a job run; None where it has no limit or Slurm is mute.

    A job that asks for more is taken by many sites, and never starts.
    """
    chosen = ["--partition", partition] if partition else []
    for line in ask("sinfo", "--noheader", "--format=%P|%l", *chosen).splitlines():
        name, _, limit = line.strip().partition("|")
        if partition or name.endswith("*"):
            return parse_limit(limit)
    return None


def parse_limit(text: str) -> int | None:
    """Minutes of Slurm's `[days-][hours:]minutes:seconds`; None for `infinite` and what is no time."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]):
        return None
    seconds = sum(int(part) * unit for part, unit in zip(reversed(parts), (1, 60, 3600), strict=False))
    return (int(days or 0) * 86400 + seconds) // 60
