"""Fixtures of the training tests."""

from __future__ import annotations

import pytest

from training.bench import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Inputs of tiny cells, made once."""
    return Bench(tmp_path_factory.mktemp("bench"))
