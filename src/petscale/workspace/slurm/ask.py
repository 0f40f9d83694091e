"""Runs Slurm's commands; a missing or unresponsive Slurm gives an empty answer, not an error."""

from __future__ import annotations

import os
import subprocess
from functools import cache


def ask(*words: str) -> str:
    """The output of a command of Slurm; empty if the command is missing or does not answer within a minute."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


@cache
def time_limit(partition: str | None) -> int | None:
    """Time limit of a partition (the default one if None) in minutes; None if it has none or Slurm does not answer.

    Many sites accept a job that asks for more than the limit, but such a job never starts.
    """
    chosen = ["--partition", partition] if partition else []
    for line in ask("sinfo", "--noheader", "--format=%P|%l", *chosen).splitlines():
        name, _, limit = line.strip().partition("|")
        if partition or name.endswith("*"):
            return parse_limit(limit)
    return None


def parse_limit(text: str) -> int | None:
    """Minutes of Slurm's `[days-][hours:]minutes:seconds`; None for `infinite` and for text that is no time."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]):
        return None
    seconds = sum(int(part) * unit for part, unit in zip(reversed(parts), (1, 60, 3600), strict=False))
    return (int(days or 0) * 86400 + seconds) // 60
