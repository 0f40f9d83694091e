"""Where and with what a cell ran (facts 5.5). Never the environment as a whole: secrets live there."""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from petscale import __version__

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "snakemake")
SLURM = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_PARTITION", "SLURM_JOB_NODELIST")


def capture(device: torch.device, devices: int = 1) -> dict[str, Any]:
    """Versions, host, device and scheduler ids of this process; `devices` trained the cell, all of one kind."""
    found: dict[str, Any] = {
        "petscale": __version__,
        "python": platform.python_version(),
        "packages": _versions(),
        "host": socket.gethostname(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "devices": devices,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]][:3],
        "scheduler": {name: os.environ[name] for name in SLURM if name in os.environ},
        "image": os.environ.get("PETSCALE_IMAGE"),
        "git": os.environ.get("PETSCALE_GIT"),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = {"name": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
    return found


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
