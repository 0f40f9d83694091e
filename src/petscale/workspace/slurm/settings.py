"""Settings of Snakemake that a profile cannot set, and the list of jobs that a restarted job need not run again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

from petscale.artefacts.layout import Layout
from petscale.workspace.slurm.watch import install

GROUPS = ("cells", "transfers")
"""Names of the groups for which the profile sets how many small cells or transfers share a job (`group-components`)."""

MEASURING = "measuring"
"""The resource that keeps two measurements of efficiency from running at once."""

STARTED = Path(".snakemake/petscale-started")


def settle_settings(
    workflow: Any, *, broken: Callable[[Collection[str]], Iterable[str]], begin: Callable[[], None]
) -> None:
    """Arrange that these settings are applied when Snakemake starts to execute, since it sets its own only then.

    `begin` is called at that time by the driver, also if there turns out to be nothing to do; not in a dry run.

    * The rerun trigger for images is switched off, since `versions` of the cells covers the environment. That trigger
      compares names of images, and would rerun all cells of a cluster when the report is made without the image.
    * Within a job, the members of a group run one after the other, and a member that fails must not stop the others.
      Snakemake passes neither `--keep-going` nor limits nor `--group-components` on to the jobs that it submits.
    * A job that is requeued or retried skips the members that it finished before.
    * Only the driver watches Slurm.
    * Each job that ends makes Snakemake look for jobs to start again a second later, and each look plans another one.
      So after a thousand jobs it would look a thousand times a second. Here a single look is planned at a time, and
      none where jobs run on this machine, whose number its cores limit.
    * There is one unit of the resource `measuring`, whatever the command line says.
    * Records of probes that do not hold any more are made again, as with the option -R. An input or a parameter that
      says so would be recorded, and would make the same records again at the next start.

    Args:
        workflow: Snakemake's.
        broken: finds the outputs that have to be made again, among those that the targets of this start depend on.
        begin: what the driver does first.
    """
    execute = workflow.execute

    def start(**asked: Any) -> Any:
        triggers = workflow.dag_settings.rerun_triggers
        workflow.dag_settings.rerun_triggers = {each for each in triggers if each.name != "SOFTWARE_ENV"}
        JobScheduler._schedule_reevalutation = _look_once
        if asked["executor_plugin"].common_settings.local_exec:
            workflow.scheduling_settings.max_jobs_per_timespan = None
        workflow.register_resource(MEASURING, 1)
        if workflow.is_main_process:
            install()
            again = broken(workflow.dag_settings.targets)
            workflow.dag_settings.forcerun = {*workflow.dag_settings.forcerun, *again}
            if not asked["executor_plugin"].common_settings.dryrun_exec:
                begin()
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


def _look_once(scheduler: Any, delay: float) -> None:
    """Let a scheduler of Snakemake look for jobs to start after a delay in seconds, unless such a look is planned."""
    if getattr(scheduler, "petscale_look", None) is not None:
        return

    def look() -> None:
        scheduler.petscale_look = None  # before the look, which plans the next one
        scheduler._open_jobs.release()

    scheduler.petscale_look = threading.Timer(delay, look)
    scheduler.petscale_look.daemon = True
    scheduler.petscale_look.start()


def mark_start() -> None:
    """Record the start of a driver as the time of a file: newer outputs were made for this driver."""
    STARTED.parent.mkdir(exist_ok=True)
    STARTED.write_text("")


def unfinished(jobs: Iterable[Any], layout: Layout, started: Path) -> list[Any]:
    """The jobs (rule name and wildcards) of a group, without those whose output was already made for this driver.

    An older output may be there only to be replaced, so times are compared; both are from the same file system.
    """
    if not started.exists():
        return list(jobs)
    since = started.stat().st_mtime_ns
    return [job for job in jobs if not _newer(_output(job, layout), since)]


def _output(job: Any, layout: Layout) -> Path | None:
    wildcards = job.wildcards_dict
    if job.rulename == "train":
        return Path(layout.result(wildcards["cell"]))
    if job.rulename == "probe":
        return Path(layout.probe(wildcards["search"], wildcards["round"], wildcards["seed"]))
    if job.rulename == "measure":
        return Path(layout.measurement(wildcards["measurement"]))
    if job.rulename == "transfer":
        return Path(layout.transfer(wildcards["cell"], wildcards["target"]))
    return None


def _newer(path: Path | None, since: int) -> bool:
    return path is not None and path.exists() and path.stat().st_mtime_ns > since
