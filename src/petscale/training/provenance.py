"""The provenance of a cell: where and with which versions it ran, but not its environment, which may hold secrets."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch

from petscale import __version__

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "snakemake",
    "snakemake-executor-plugin-slurm",
)
SLURM = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
)


def capture(device: torch.device, devices: int = 1, attempts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Versions, host, device, scheduler ids and command of this process.

    Args:
        device: the first device that trained the cell.
        devices: number of devices that trained it, all of one kind.
        attempts: all attempts at the cell, this one last: host, job, start, end and outcome of each.
    """
    found: dict[str, Any] = {
        "petscale": __version__,
        "python": platform.python_version(),
        "packages": package_versions(),
        "environment": _environment(),
        "host": socket.gethostname(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "devices": devices,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "attempts": [dict(attempt) for attempt in attempts],
        "scheduler": {name: os.environ[name] for name in SLURM if name in os.environ},
        "image": os.environ.get("PETSCALE_IMAGE"),
        "git": os.environ.get("PETSCALE_GIT"),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = {
            "name": properties.name,
            "uuid": str(properties.uuid),
            "memory": properties.total_memory,
            "cuda": torch.version.cuda,
            "driver": _driver(),
        }
    return found


@cache
def package_versions() -> dict[str, str]:
    """Versions of the installed packages that a cell runs on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _environment() -> str:
    """SHA-256 of the sorted lines `name==version` of all installed packages."""
    installed = {f"{found.metadata['Name'].lower()}=={found.version}\n" for found in metadata.distributions()}
    return hashlib.sha256("".join(sorted(installed)).encode()).hexdigest()


def _driver() -> str | None:
    """The version of the GPU's driver; None if NVML cannot report it."""
    try:
        nvml: Any = import_module("pynvml")
        nvml.nvmlInit()
        return str(nvml.nvmlSystemGetDriverVersion())
    except Exception:  # no library or no permission: the version is optional, like everything from NVML
        return None


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
