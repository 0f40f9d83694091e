"""Settings of a run that no profile can give, and what a job that comes again leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from petscale.artefacts.layout import Layout
from petscale.workspace.slurm.watch import install

GROUPS = ("cells", "transfers")
"""Names under which the profile says how many small cells or transfers share a job (`group-components`)."""

STARTED = Path(".snakemake/petscale-started")


def settle_settings(workflow: Any) -> None:
    """Have them applied when Snakemake starts to execute; it knows its own only then.

    * `versions` of the cells covers the environment. Snakemake's own trigger compares names of images, and would rerun
      all cells of a cluster when the report is made again without the image.
    * Within a job, the members of a group are cells of their own: they take turns, and one that fails must not stop the
      others. Snakemake hands neither `--keep-going` nor limits nor `--group-components` to the jobs that it submits.
    * A job that comes again, requeued or retried, leaves alone what its members finished before.
    * The driver alone watches Slurm.
    """
    execute = workflow.execute

    def start(**asked: Any) -> Any:
        triggers = workflow.dag_settings.rerun_triggers
        workflow.dag_settings.rerun_triggers = {each for each in triggers if each.name != "SOFTWARE_ENV"}
        if workflow.is_main_process:
            install()
        else:
            workflow.execution_settings.keep_going = True
            workflow.group_settings.group_components = dict.fromkeys(GROUPS, sys.maxsize)
            workflow.register_resource("device", 1)
            targets = unfinished(workflow.dag_settings.target_jobs, Layout(), STARTED)
            if workflow.dag_settings.target_jobs and not targets:
                sys.exit(0)
            workflow.dag_settings.target_jobs = targets
        return execute(**asked)

    workflow.execute = start


def mark_start() -> None:
    """Note, by a file's time, that a driver starts: what is newer was made for it."""
    STARTED.parent.mkdir(exist_ok=True)
    STARTED.write_text("")


def unfinished(jobs: Iterable[Any], layout: Layout, started: Path) -> list[Any]:
    """The jobs (rule name and wildcards) of a group without those of which this driver already has the output.

    An older output may be there to be replaced; so times are compared, both from the same file system.
    """
    if not started.exists():
        return list(jobs)
    since = started.stat().st_mtime_ns
    return [job for job in jobs if not _newer(_output(job, layout), since)]


def _output(job: Any, layout: Layout) -> Path | None:
    wildcards = job.wildcards_dict
    if job.rulename == "train":
        return Path(layout.result(wildcards["cell"]))
    if job.rulename == "transfer":
        return Path(layout.transfer(wildcards["cell"], wildcards["target"]))
    return None


def _newer(path: Path | None, since: int) -> bool:
    return path is not None and path.exists() and path.stat().st_mtime_ns > since
