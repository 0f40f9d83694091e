"""What Slurm says of the jobs of a study, in words on which the executor plugin acts; and jobs that nobody waits for.

The plugin (2.8.0) waits for ever in four cases that happen on every cluster:

* `sacct` prints `CANCELLED by <uid>`, which it compares as a whole;
* a preempted or failed node's job that Slurm does not requeue stays `PREEMPTED` or `NODE_FAIL`;
* a job is gone from `squeue` because the driver slept or the controller lost it;
* accounting is not set up, so `sacct` fails at each query.

And it counts an attempt as failed when the controller is too busy to take a job, or a limit on queued jobs is reached.
`install` puts `Watch` between the plugin and Slurm's answers, and `petscale.workspace.submit` before `sbatch`.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from petscale.errors import BadInput
from petscale.record import read_result
from petscale.study.layout import Layout
from petscale.study.stages import code_digest

PLUGIN = "snakemake_executor_plugin_slurm"
PREFIX = "petscale"
"""Of the names of jobs (`slurm-jobname-prefix` in the profile); by it a study's jobs are found again."""

GROUPS = ("cells", "transfers")
"""Names under which the profile says how many small cells or transfers share a job (`group-components`)."""

STARTED = Path(".snakemake/petscale-started")

# States that Slurm may or may not turn into PENDING; how long it is given to do so.
_REQUEUED = ("PREEMPTED", "NODE_FAIL", "REVOKED")
PATIENCE_S = 180.0

States = dict[str, str]
Query = Callable[[str, Any], Awaitable[tuple[States | None, float | None]]]


class Watch:
    """Remembers what was seen of each job and turns states that the plugin would wait on into final ones.

    A job that is gone counts as `UNKNOWN`: the plugin then lets the outputs decide, and those appear by rename only.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S) -> None:
        self._clock, self._patience = clock, patience_s
        self._since: dict[str, float] = {}  # job -> when it was first seen in a state that may be final
        self._states: States = {}

    def expect(self, jobs: Iterable[str]) -> None:
        """Jobs that the plugin waits for: one may end and be forgotten by Slurm before it was seen."""
        for job in jobs:
            self._states.setdefault(job, "PENDING")

    def settle(self, told: Mapping[str, str]) -> States:
        """The states as the plugin understands them, jobs that are gone included."""
        now = self._clock()
        settled = {job: self._settled(job, state, now) for job, state in told.items()}
        for job, state in self._states.items():
            if job not in settled:
                settled[job] = self._after_patience(job, state, "UNKNOWN", now) if _is_open(state) else state
        self._states = settled
        return dict(settled)

    def _settled(self, job: str, state: str, now: float) -> str:
        words = state.split()
        word = words[0].rstrip("+") if words else "UNKNOWN"
        if word in _REQUEUED:
            return self._after_patience(job, "RUNNING", "CANCELLED", now)
        self._since.pop(job, None)
        return word

    def _after_patience(self, job: str, before: str, after: str, now: float) -> str:
        return after if now - self._since.setdefault(job, now) >= self._patience else before


def _is_open(state: str) -> bool:
    """Whether a job in this state can still come to an end."""
    return state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "STAGE_OUT")


def watched(query: Query, watch: Watch) -> Query:
    """The plugin's query with `watch` behind it, and `squeue` where `sacct` does not answer."""

    async def ask(command: str, logger: Any) -> tuple[States | None, float | None]:
        states, seconds = await query(command, logger)
        if states is None and command.startswith("sacct "):
            states, seconds = await query(_squeue(command), logger)
        return (None if states is None else watch.settle(states)), seconds

    return ask


def _squeue(sacct: str) -> str:
    """The query of the same jobs by `squeue`, which asks the controller and needs no accounting."""
    words = shlex.split(sacct)
    return f"squeue --format='%i|%T' --states=all --noheader --name {words[words.index('--name') + 1]}"


def install() -> None:
    """Watch the plugin's queries in this process; nothing where the plugin is not loaded."""
    plugin: Any = sys.modules.get(PLUGIN)
    if plugin is None:
        return
    watch, check = Watch(), plugin.Executor.check_active_jobs
    plugin.query_job_status = watched(plugin.query_job_status, watch)
    plugin.get_submit_command = patient(plugin.get_submit_command)

    async def check_active_jobs(self: Any, active_jobs: list[Any]) -> AsyncIterator[Any]:
        watch.expect(job.external_jobid for job in active_jobs if job.external_jobid)
        async for job in check(self, active_jobs):
            yield job

    plugin.Executor.check_active_jobs = check_active_jobs


def patient(command: Callable[..., str]) -> Callable[..., str]:
    """The plugin's command line with `petscale.workspace.submit` in the place of `sbatch`."""

    def make(*args: Any, **kwargs: Any) -> str:
        program, _, rest = command(*args, **kwargs).partition(" ")
        assert program == "sbatch", program
        return f"{shlex.quote(sys.executable)} -m petscale.workspace.submit {rest}"

    return make


def settle_settings(workflow: Any) -> None:
    """Settings of a run that no profile can give; Snakemake knows them only when it starts to execute.

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


def adopt(workflow: Any, image: str | None) -> int:
    """Record, as Snakemake does for jobs that it saw end, the cells that ended while no driver ran; returns how many.

    Without a record of its parameters a later change of them would not rerun a cell. Only what this code made in this
    image is taken over; `petscale status --stale` lists the others.
    """
    code, adopted = code_digest("train"), 0
    for job in workflow.dag.jobs:
        if job.rule.name != "train" or workflow.dag.needrun(job):
            continue
        if workflow.persistence.has_metadata(job) or not _made_by(Path(job.output[0]), code, image):
            continue
        workflow.async_run(workflow.persistence.finished(job))
        adopted += 1
    return adopted


def _made_by(result: Path, code: str, image: str | None) -> bool:
    try:
        record = read_result(result)
    except BadInput:
        return False
    return record.hashes.get("code") == code and record.provenance.get("image") == image


@cache
def time_limit(partition: str | None) -> int | None:
    """Minutes that a partition (the default one if None) lets a job run; None where it has no limit or Slurm is mute.

    A job that asks for more is taken by many sites, and never starts.
    """
    chosen = ["--partition", partition] if partition else []
    for line in _slurm("sinfo", "--noheader", "--format=%P|%l", *chosen).splitlines():
        name, _, limit = line.strip().partition("|")
        if partition or name.endswith("*"):
            return parse_limit(limit)
    return None


def parse_limit(text: str) -> int | None:
    """Minutes of Slurm's `[days-][hours:]minutes:seconds`; None for `infinite` and what is no time."""
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, days or "0"]):
        return None
    seconds = sum(int(part) * unit for part, unit in zip(reversed(parts), (1, 60, 3600), strict=False))
    return (int(days or 0) * 86400 + seconds) // 60


def only_driver(folder: str) -> TextIO:
    """The lock of the one driver that sends this folder's cells to Slurm; held until the handle is closed.

    Snakemake's own lock is on files, so two studies of one folder run side by side; but cells are shared by studies,
    and a driver cancels what it finds of an earlier one's jobs.

    Raises:
        BadInput: another driver holds it; the message names it.
    """
    path = Path(folder) / ".snakemake" / "petscale-driver"
    path.parent.mkdir(exist_ok=True)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise BadInput(f"{path}: {holder or 'another driver'} sends jobs from this folder; wait for it") from None
    handle.truncate(0)
    handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    handle.flush()
    return handle


def orphans(folder: str) -> list[str]:
    """Jobs of an earlier driver in the working directory `folder` that are still queued or running.

    For who holds `only_driver`: then all of petscale's jobs there are an earlier driver's.
    """
    told = _slurm("squeue", "--me", "--noheader", "--format=%i|%j|%Z")
    rows = [line.split("|") for line in told.splitlines()]
    return [row[0] for row in rows if len(row) == 3 and row[1].startswith(f"{PREFIX}_") and row[2] == folder]


def cancel_orphans(folder: str, wait_s: float = 120.0) -> list[str]:
    """Cancel them and wait until they are gone; the next job of a cell goes on from its newest checkpoint.

    Left alone, they would hold the cells that this driver submits again.
    """
    found = orphans(folder)
    if found:
        _slurm("scancel", *found)
        until = time.monotonic() + wait_s
        while orphans(folder) and time.monotonic() < until:
            time.sleep(1.0)
    return found


def _slurm(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
