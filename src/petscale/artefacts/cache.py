"""Where `petscale fetch` puts what it downloads, and compute nodes find it."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$PETSCALE_CACHE`, by default `~/.cache/petscale`; `hub/` in it has the hub library's own layout."""
    return Path(os.environ.get("PETSCALE_CACHE") or Path.home() / ".cache" / "petscale")
