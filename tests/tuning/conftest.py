"""Fixtures: tiny backbones of each family."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .tiny import TINY, Tiny


@pytest.fixture(params=list(TINY))
def make_tiny(request: pytest.FixtureRequest) -> Callable[..., Tiny]:
    """Each family in turn."""
    return TINY[request.param]


@pytest.fixture
def tiny(make_tiny: Callable[..., Tiny]) -> Tiny:
    return make_tiny()
