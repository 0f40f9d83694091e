"""A job requests memory within the nodes' size, cores for all devices, and time within the partition's limit."""

from __future__ import annotations

import pytest

from petscale.workspace.slurm.ask import parse_limit
from petscale.workspace.slurm.requests import cpus, memory_mb


@pytest.mark.parametrize("attempt, most, asked", [(1, None, 900), (2, None, 1800), (3, None, 2700), (9, None, 2700)])
def test_memory_grows_threefold_at_most(attempt: int, most: int | None, asked: int) -> None:
    """Long cells need many attempts, and the tenth must not request more memory than any node has."""
    assert memory_mb(900, attempt, most) == asked


@pytest.mark.parametrize("wanted, asked", [(900, 1000), (600, 1000), (300, 600), (1200, 1000)])
def test_memory_stays_within_the_sites_nodes(wanted: int, asked: int) -> None:
    """Slurm accepts a job that fits on no node, and such a job never starts."""
    assert memory_mb(wanted, 2, 1000) == asked


def test_cores_follow_devices() -> None:
    assert [cpus(devices) for devices in (0, 1, 2, 8)] == [1, 1, 4, 16]


@pytest.mark.parametrize(
    "text, minutes",
    [("1:00:00", 60), ("30:00", 30), ("1-12:00:00", 2160), ("infinite", None), ("n/a", None), ("", None)],
)
def test_limits(text: str, minutes: int | None) -> None:
    assert parse_limit(text) == minutes
