"""Settings of a site's Slurm, from a small file that the user copies from `site.example.yaml` of the profile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from petscale.errors import BadInput
from petscale.workspace.study_file import read_yaml

VARIABLE = "PETSCALE_SITE"
_NAME = r"^[A-Za-z0-9_.:&|*\[\],-]+$"  # allowed characters, since values are put into sbatch's command line


class Site(BaseModel):
    """Settings of a cluster; every key is optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Path | None = Field(None, description="an image shared by a group; containers/petscale.sif if absent")
    account: str | None = Field(None, pattern=_NAME, description="sbatch -A")
    partition: str | None = Field(None, pattern=_NAME, description="of cells and transfers; Slurm's default if absent")
    cpu_partition: str | None = Field(None, pattern=_NAME, description="of jobs without a GPU; `partition` if absent")
    constraint: str | None = Field(None, pattern=_NAME, description="of the nodes of GPU jobs, sbatch -C")
    qos: str | None = Field(None, pattern=_NAME, description="sbatch --qos")
    gpu_style: Literal["gpus", "gres"] = Field("gpus", description="--gpus=1 or --gres=gpu:1")
    gpu_model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.]+$", description="e.g. a100: --gpus=a100:1")
    max_minutes: int | None = Field(None, ge=1, description="limit of a job; the partition's own if absent")
    max_memory_mb: int | None = Field(None, ge=1, description="memory of the largest node; retries ask for no more")
    group_minutes: int = Field(10, ge=0, description="cells estimated below this share a device, one after the other")

    def placement(self, gpu: bool) -> dict[str, str]:
        """Snakemake resources that choose partition, account and constraint, as far as the site sets them."""
        partition = self.partition if gpu else self.cpu_partition or self.partition
        wanted = {"slurm_account": self.account, "slurm_partition": partition, "qos": self.qos}
        if gpu:
            wanted["constraint"] = self.constraint
        return {name: value for name, value in wanted.items() if value is not None}

    def devices(self, count: int | Callable[[Any], int]) -> dict[str, Any]:
        """Snakemake resources that request devices in the site's style; `count` may depend on a job's wildcards."""
        if self.gpu_style == "gpus":
            return {"gpu": count, **({"gpu_model": self.gpu_model} if self.gpu_model else {})}
        name = f"gpu:{self.gpu_model}" if self.gpu_model else "gpu"
        return {"gres": f"{name}:{count}" if isinstance(count, int) else lambda wildcards: f"{name}:{count(wildcards)}"}


def read_site(root: Path) -> Site:
    """Read the site's settings from $PETSCALE_SITE, the project's copy or the user's; without a file, use the defaults.

    Raises:
        BadInput: the file cannot be read, or a key in it is unknown or has a wrong value.
    """
    told = os.environ.get(VARIABLE)
    places = [root / "workflow" / "profiles" / "slurm" / "site.yaml", Path("~/.config/petscale/site.yaml").expanduser()]
    path = Path(told) if told else next((place for place in places if place.exists()), None)
    if path is None:
        return Site()
    document = read_yaml(path)
    try:
        return Site.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: key {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
