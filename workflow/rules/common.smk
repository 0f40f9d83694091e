# Functions for inputs, parameters and resources of rules. All of them use one object, STUDY.

import gc
import os
import shlex
import sys
from pathlib import Path

from petscale.errors import BadInput, PetscaleError
from petscale.workspace.commands import snakemake_options
from petscale.workspace.commit import VARIABLE, commit_of
from petscale.workspace.dag import Dag
from petscale.workspace.status import failure_lines
from petscale.workspace.study_file import (
    DEFAULT,
    config_words,
    merged,
    read_yaml,
    record_config,
)
from petscale.workspace.surroundings import settle_environment

# Thousands of jobs are millions of objects that live as long as the run, so Python's search for reference cycles would
# take a part of every dry run.
gc.set_threshold(1_000_000, 50, 100)

CONTAINED = any(
    method.name == "APPTAINER"
    for method in workflow.deployment_settings.deployment_method
)
# `python` in a rule is the interpreter that runs this file, which need not be on PATH; an image has its own. This is told
# to bash before each command and does not stand in the rules, since another text of a rule would rerun all cells.
if not CONTAINED:
    interpreter = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")
    shell.prefix(f"set -euo pipefail; hash -p {interpreter} python; ")
settle_environment()

STUDY_FILES = workflow.overwrite_configfiles or [Path(DEFAULT)]
GIVEN = dict(workflow.config_settings.config)  # values of --config

# The study is read by petscale and not by Snakemake, so that every command has the same values and refuses the same.
try:
    if len(STUDY_FILES) > 1:
        named = ", ".join(map(os.path.relpath, STUDY_FILES))
        raise BadInput(
            f"--configfile: one study file, not {len(STUDY_FILES)} ({named}); write their keys into one"
        )
    STUDY_FILE = Path(os.path.relpath(STUDY_FILES[0]))
    STUDY = Dag.from_config(
        merged(read_yaml(STUDY_FILE), GIVEN), str(STUDY_FILE), Path(workflow.basedir)
    )
    if workflow.is_main_process:
        STUDY.check_inputs()
except PetscaleError as error:
    # This prints one line instead of a traceback through Snakemake.
    print(f"petscale: {error}", file=sys.stderr)
    sys.exit(int(error.exit_code))

# The variable passes the commit to all jobs, because those in an image have no repository.
if commit := commit_of(Path(workflow.basedir)):
    os.environ[VARIABLE] = commit


# Names are validated when the study is read; these constraints only separate the parts of a path.
wildcard_constraints:
    cell=r"[^/]+/[^/]+/[^/]+/seed\d+-[0-9a-f]{12}",
    data=r"[^/]+-[0-9a-f]{8}",
    labels="words|unified",
    tokenizer="[^/]+",
    backbone="[^/]+",
    target="[^/]+",
    search=r"[^/]+/[^/]+/[^/]+-[0-9a-f]{12}",
    measurement=r"[^/]+/[^/]+/[^/]+/seed\d+-[0-9a-f]{12}",
    round=r"\d+",
    seed=r"\d+",


# The argument `resources` tells Snakemake that a parameter is derived from resources, so that it reruns nothing.
def data_spec(wildcards, resources):
    return STUDY.data_spec(wildcards.data)


def data_identity(wildcards):
    return STUDY.data_identity(wildcards.data)


def tokenizer_backbone(wildcards):
    return STUDY.tokenizer_backbone(wildcards.tokenizer)


def tokenize_version(wildcards):
    return STUDY.tokenize_version(wildcards.tokenizer)


def backbone_spec(wildcards, resources):
    return STUDY.backbone_spec(wildcards.backbone)


def backbone_identity(wildcards):
    return STUDY.backbone_identity(wildcards.backbone)


def cell_inputs(wildcards):
    return STUDY.cell_inputs(wildcards.cell)


def cell_spec(wildcards):
    return STUDY.cell_spec(wildcards.cell)


# The path of a cell, or of a search, for which its cell with the largest budget stands.
def trained(wildcards):
    return wildcards.get("cell") or wildcards.search


def probe_inputs(wildcards):
    return STUDY.probe_inputs(wildcards.search, int(wildcards.round))


def probe_spec(wildcards):
    return STUDY.probe_spec(wildcards.search)


def probe_versions(wildcards):
    return STUDY.probe_versions(wildcards.search)


# A cell does not rerun when it gets another number of devices.
def cell_placement(wildcards, resources):
    placement = STUDY.placement(trained(wildcards))
    if workflow.is_main_process:
        return placement
    # In a job, a cell must save before its time is up. It cannot wait for Slurm's signal, which reaches all processes
    # and kills the one that serves the image to the container before the trainer has saved.
    return f"{placement} --deadline {max(60, 60 * resources.runtime - 60)}"


def cell_versions(wildcards):
    return STUDY.cell_versions(wildcards.cell)


def cell_result(wildcards):
    return STUDY.layout.result(wildcards.cell)


def transfer_inputs(wildcards):
    return STUDY.transfer_inputs(wildcards.cell, wildcards.target)


def transfer_versions(wildcards):
    return STUDY.transfer_versions(wildcards.cell, wildcards.target)


def measurement_inputs(wildcards):
    return STUDY.measurement_inputs(wildcards.measurement)


def measurement_spec(wildcards):
    return STUDY.measurement_spec(wildcards.measurement)


def measurement_versions(wildcards):
    return STUDY.measurement_versions(wildcards.measurement)
