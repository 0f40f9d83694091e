"""The folder in which `petscale fetch` puts its downloads and compute nodes find them."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$PETSCALE_CACHE`, by default `~/.cache/petscale`; its folder `hub/` has the layout of the hub's library."""
    return Path(os.environ.get("PETSCALE_CACHE") or Path.home() / ".cache" / "petscale")
