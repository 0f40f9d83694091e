"""Fixtures for the tests of all packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from once import make_once
from tally import pytest_terminal_summary, tally  # noqa: F401  pytest finds them here

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


# The same examples in every run of CI, so that it fails for a change and not by chance; elsewhere new ones each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real rows and vocabularies, which licences keep out of the project: $PETSCALE_SHARED or ../shared."""
    folder = Path(os.environ.get("PETSCALE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real rows at {folder} (set PETSCALE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with its tables: making them takes seconds, so tests start from a copy."""

    def make(folder: Path) -> None:
        from petscale.tracking.store import Store

        Store(f"sqlite:///{folder}/mlflow.db", folder / "artifacts")

    return make_once(tmp_path_factory, "empty-database", make) / "mlflow.db"
