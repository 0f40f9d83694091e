# What differs on a cluster and in an image: where jobs go, what they ask for, how small ones share a device.

import inspect
import os
import sys
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.resources import Resource

import petscale
from petscale.errors import PetscaleError
from petscale.workspace.commit import keep_changes
from petscale.workspace.image import enter, read_image
from petscale.workspace.site import read_site
from petscale.workspace.slurm import ask, driver, requests, settings

try:
    ROOT = Path(workflow.basedir)
    SITE = read_site(ROOT)
    IMAGE = (SITE.image or ROOT / "containers" / "petscale.sif").expanduser()
    IMAGE_DIGEST = None
    if any(
        method.name == "APPTAINER"
        for method in workflow.deployment_settings.deployment_method
    ):
        # Jobs in an image rerun for what it holds, not for its name: the same versions give the same cells.
        image = read_image(IMAGE)
        STUDY.run_in(image)
        IMAGE_DIGEST = image.digest
        enter(image, Path(petscale.__file__).parents[1], Path.cwd(), STUDY.folders)
except PetscaleError as error:
    print(f"petscale: {error}", file=sys.stderr)
    sys.exit(int(error.exit_code))


# `make image` builds it from the lock that `make install` installs; used with `--sdm apptainer`.
container: str(IMAGE)


settings.settle_settings(workflow)
DRIVER = []  # the lock of this driver, held while the process lives


onstart:
    keep_changes(ROOT, Path(STUDY.layout.changes()))
    if workflow.executor_plugin.name == "slurm":
        try:
            DRIVER.append(driver.only_driver(os.getcwd()))
        except PetscaleError as error:
            print(f"petscale: {error}", file=sys.stderr)
            sys.exit(int(error.exit_code))
        cancelled = driver.cancel_orphans(os.getcwd())
        if cancelled:
            print(
                f"petscale: cancelled {len(cancelled)} jobs of an earlier driver; their cells go on in new ones",
                file=sys.stderr,
            )
        driver.adopt(workflow, IMAGE_DIGEST)
        settings.mark_start()


def cell_devices(wildcards):
    return STUDY.devices(wildcards.cell)


def cell_memory(wildcards, attempt):
    return requests.memory_mb(
        STUDY.memory_mb(wildcards.cell), attempt, SITE.max_memory_mb
    )


def cell_cpus(wildcards):
    return requests.cpus(STUDY.devices(wildcards.cell))


def input_memory(wildcards, attempt):
    return requests.memory_mb(requests.INPUT_MEMORY_MB, attempt, SITE.max_memory_mb)


def cell_runtime(wildcards, attempt):
    return allowed(STUDY.minutes(wildcards.cell) * attempt, "cells", wildcards.cell)


def transfer_runtime(wildcards, attempt):
    return allowed(
        STUDY.transfer_minutes(wildcards.cell, wildcards.target) * attempt,
        "transfers",
        wildcards.cell,
    )


def allowed(minutes, kind, cell):
    """What the partition lets a job ask for; those that share one, whose minutes add up, their part of it."""
    shared = is_shared(cell)
    told = f"PETSCALE_MINUTES_{kind.upper() if shared else 'ALONE'}"
    if workflow.is_main_process and not workflow.local_exec:
        limit = SITE.max_minutes or ask.time_limit(SITE.partition)
        members = workflow.group_settings.group_components.get(kind, 1) if shared else 1
        if limit:
            # Jobs inherit it: their deadlines follow from the same minutes.
            os.environ[told] = str(max(1, limit // members))
    return min(minutes, int(os.environ.get(told, minutes)))


def is_shared(cell):
    return STUDY.is_small(cell, SITE.group_minutes)


def group_of(kind, cell):
    """The group in which a small cell shares a device with others on its backbone; None for other cells."""
    if workflow.local_exec or not is_shared(cell):
        return None
    group = f"{kind}-{cell.split('/')[0]}"
    # By the parent's name the profile says how many share a device.
    workflow.parent_groupids[group] = kind
    return group


def cell_group(wildcards):
    return group_of("cells", wildcards.cell)


def transfer_group(wildcards):
    return group_of("transfers", wildcards.cell)


# Beside these, cells and transfers ask for one `device`, a resource of our own: the profile allows one a job, so the
# members of a group take turns, with GPUs or without.
COUNT = cell_devices if STUDY.study.hardware.max_devices > 1 else 1
GPUS = STUDY.study.hardware.gpus
# One node: Slurm may find a job's GPUs on several otherwise, and its processes talk through one node's memory.
CELL_PLACE = {
    **SITE.placement(GPUS),
    **({"nodes": 1, **SITE.devices(COUNT)} if GPUS else {}),
    "cpus_per_task": cell_cpus,
}
OTHER_PLACE = SITE.placement(False)


# Snakemake works out the parameters of each function at each call, a fifth of a dry run; those that are told are found.
for looked_up in (
    data_files,
    data_spec,
    tokenizer_backbone,
    backbone_spec,
    cell_inputs,
    cell_spec,
    cell_placement,
    cell_versions,
    cell_result,
    cell_devices,
    cell_memory,
    cell_cpus,
    input_memory,
    cell_runtime,
    cell_group,
    transfer_inputs,
    transfer_versions,
    transfer_runtime,
    transfer_group,
    Resource.evaluate,
):
    found = inspect.signature(looked_up).parameters.items()
    overwrite_function_params(
        looked_up, {name: kind for name, kind in found if name != "self"}
    )
