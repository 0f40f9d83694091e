# Settings for clusters and images: partitions of jobs, their resources, and groups of small cells that share a device.

import inspect
import os
import sys
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.resources import Resource

import petscale
from petscale.errors import BadInput, PetscaleError
from petscale.workspace.commit import keep_changes
from petscale.workspace.image import enter, read_image
from petscale.workspace.site import read_site
from petscale.workspace.slurm import ask, driver, requests, settings

try:
    ROOT = Path(workflow.basedir)
    SITE = read_site(ROOT)
    IMAGE = (SITE.image or ROOT / "containers" / "petscale.sif").expanduser()
    SPACED = any(map(str.isspace, str(IMAGE)))
    IMAGE_DIGEST = None
    if CONTAINED:
        # Cells rerun when the package versions in the image change, not when its name does.
        if SPACED:
            raise BadInput(
                f"{IMAGE}: Snakemake takes no image with a space in its path; name a copy in site.yaml (key image)"
            )
        image = read_image(IMAGE)
        STUDY.run_in(image)
        IMAGE_DIGEST = image.digest
        enter(image, Path(petscale.__file__).parents[1], Path.cwd(), STUDY.folders)
except PetscaleError as error:
    print(f"petscale: {error}", file=sys.stderr)
    sys.exit(int(error.exit_code))


# The image is used with `--sdm apptainer`. `make image` builds it from the lock file that `make install` uses. Snakemake
# refuses a path with a space also where no image is used.
if not SPACED:

    container: str(IMAGE)


settings.settle_settings(
    workflow,
    broken=STUDY.broken_probes,
    begin=lambda: record_config(STUDY.study.name, STUDY_FILE, GIVEN),
)
DRIVER = []  # holds the lock of this driver while the process lives


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
        driver.adopt(workflow, IMAGE_DIGEST, STUDY.cell_code)
        settings.mark_start()


def cell_devices(wildcards):
    return STUDY.devices(trained(wildcards))


def cell_memory(wildcards, attempt):
    return requests.memory_mb(
        STUDY.memory_mb(trained(wildcards)), attempt, SITE.max_memory_mb
    )


def cell_cpus(wildcards):
    return requests.cpus(STUDY.devices(trained(wildcards)))


def input_memory(wildcards, attempt):
    return requests.memory_mb(requests.INPUT_MEMORY_MB, attempt, SITE.max_memory_mb)


def cell_runtime(wildcards, attempt):
    return allowed(
        STUDY.minutes(wildcards.cell) * attempt,
        "cells",
        is_shared(wildcards.cell),
        members("cells"),
    )


def probe_runtime(wildcards, attempt):
    search = wildcards.search
    return allowed(
        STUDY.minutes(search) * attempt,
        "searches",
        is_shared(search),
        STUDY.probes_of(search),
    )


def transfer_runtime(wildcards, attempt):
    return allowed(
        STUDY.transfer_minutes(wildcards.cell, wildcards.target) * attempt,
        "transfers",
        is_shared(wildcards.cell),
        members("transfers"),
    )


def measurement_memory(wildcards, attempt):
    return requests.memory_mb(
        STUDY.measurement_memory_mb(wildcards.measurement), attempt, SITE.max_memory_mb
    )


def measurement_runtime(wildcards, attempt):
    minutes = STUDY.measurement_minutes(wildcards.measurement) * attempt
    return allowed(minutes, "measurements", False, 1)


# On this machine a measurement takes all cores of the run, so that nothing else of the study runs beside it. It computes
# on one thread, as cells do. Snakemake gives a job that wants more cores than there are all of them.
def measurement_cores(wildcards):
    return sys.maxsize if workflow.local_exec else 1


def members(kind):
    return workflow.group_settings.group_components.get(kind, 1)


def allowed(minutes, kind, shared, sharing):
    """Minutes that a job may request in its partition; cells that share a job divide them, because they add up."""
    told = f"PETSCALE_MINUTES_{kind.upper() if shared else 'ALONE'}"
    if workflow.is_main_process and not workflow.local_exec:
        limit = SITE.max_minutes or ask.time_limit(SITE.partition)
        if limit:
            # Jobs inherit this variable, so that their deadlines follow from the same minutes.
            os.environ[told] = str(max(1, limit // (sharing if shared else 1)))
    return min(minutes, int(os.environ.get(told, minutes)))


def is_shared(cell):
    return STUDY.is_small(cell, SITE.group_minutes)


def group_of(kind, cell):
    """The group in which a small cell shares a device with others on its backbone; None for other cells."""
    if workflow.local_exec or not is_shared(cell):
        return None
    group = f"{kind}-{cell.split('/')[0]}"
    # The profile sets the number of cells that share a device for the name of the parent group.
    workflow.parent_groupids[group] = kind
    return group


def cell_group(wildcards):
    return group_of("cells", wildcards.cell)


def transfer_group(wildcards):
    return group_of("transfers", wildcards.cell)


def probe_group(wildcards):
    # All probes of a search of small cells are one job, so that a round does not wait for Slurm between its cells.
    if workflow.local_exec or not is_shared(wildcards.search):
        return None
    return "-".join(["search", *Path(wildcards.search).parts])


# In addition, cells, probes and transfers request one unit of `device`, a resource of this workflow. The profile allows
# one per job, so the members of a group run one after the other, with GPUs or without.
COUNT = cell_devices if STUDY.study.hardware.max_devices > 1 else 1
GPUS = STUDY.study.hardware.gpus
# A job gets one node, because its processes communicate within a node. Otherwise Slurm may use GPUs of several nodes.
CELL_PLACE = {
    **SITE.placement(GPUS),
    **({"nodes": 1, **SITE.devices(COUNT)} if GPUS else {}),
    "cpus_per_task": cell_cpus,
}
OTHER_PLACE = SITE.placement(False)
MEASUREMENT_PLACE = {
    **SITE.placement(GPUS),
    **({"nodes": 1, **SITE.devices(1)} if GPUS else {"slurm_extra": "--exclusive"}),
    "cpus_per_task": 1,
}


# Snakemake inspects the parameters of each function at each call, which takes a fifth of a dry run. It finds those that
# are registered here without inspecting them.
for looked_up in (
    data_spec,
    data_identity,
    tokenizer_backbone,
    backbone_spec,
    backbone_identity,
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
    probe_inputs,
    probe_spec,
    probe_versions,
    probe_runtime,
    probe_group,
    Resource.evaluate,
):
    found = inspect.signature(looked_up).parameters.items()
    overwrite_function_params(
        looked_up, {name: kind for name, kind in found if name != "self"}
    )
