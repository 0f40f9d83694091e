"""Runs the real workflow on a tiny study in a separate folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "name": "tiny",
    "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small-random"]}],
    "tasks": ["mini-sentiment"],
    "data": {"source": "mini", "dev_size": 20, "max_train": 64, "max_test": 20},
    "seeds": [1],
    "recipe": {"steps": 4, "evaluate_every": 2, "learning_rate": 1e-3, "learning_rate_by_task": {}},
    "experiments": {"methods": {"methods": ["full", "lora"]}},
    "hardware": {"gpus": False},
}


@dataclass
class Workflow:
    """The project's Snakefile on a study file, in `folder`."""

    root: Path
    folder: Path
    package: Path

    def write(self, **changes: Any) -> Path:
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return path

    def run(
        self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        binaries = Path(sys.executable).parent
        env = {
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.package),
            "PYTHONNOUSERSITE": "1",
            **(environment or {}),
        }
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(self.root / "Snakefile"),
             "--directory", str(self.folder), "--configfile", "study.yaml"],
            cwd=self.folder, env=env, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def planned(self, **changes: Any) -> dict[str, int]:
        """Jobs by rule that a dry run would start; `all` left out."""
        if changes:
            self.write(**changes)
        done = self.run("-n", "--quiet", "rules", check=True)
        text = done.stdout + done.stderr
        table = re.findall(r"^([a-z_]+)\s+(\d+)\s*$", text, flags=re.MULTILINE)
        return {rule: int(count) for rule, count in table if rule not in ("all", "total")}

    def petscale(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "petscale", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.package)},
            capture_output=True,
            text=True,
            timeout=900,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done
