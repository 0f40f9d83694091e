"""Translates the states of jobs that Slurm reports into states that Snakemake's Slurm plugin understands.

The plugin (2.8.0) waits for ever in four cases that happen on every cluster:

* `sacct` prints `CANCELLED by <uid>`, but the plugin expects only the first word;
* a job was preempted or its node failed, and Slurm does not requeue it, so it stays `PREEMPTED` or `NODE_FAIL`;
* a job is no longer in `squeue`, because the driver was suspended or the controller lost it;
* accounting is not set up, so `sacct` fails at each query.

The plugin also counts an attempt as failed if the controller is too busy to accept a job, or if a limit on queued jobs
is reached. `install` puts `Watch` between the plugin and Slurm's answers, and replaces `sbatch` by
`petscale.workspace.slurm.submit`.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"

# States that Slurm may or may not turn into PENDING, and how long to wait for that.
_REQUEUED = ("PREEMPTED", "NODE_FAIL", "REVOKED")
PATIENCE_S = 180.0

States = dict[str, str]
Query = Callable[[str, Any], Awaitable[tuple[States | None, float | None]]]


class Watch:
    """Remembers the state of each job, and replaces states on which the plugin would wait for ever by final ones.

    A job that is gone counts as `UNKNOWN`: the plugin then checks whether the outputs exist, which are always complete.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S) -> None:
        self._clock, self._patience = clock, patience_s
        self._since: dict[str, float] = {}  # job -> when it was first seen in a state that may be final
        self._states: States = {}

    def expect(self, jobs: Iterable[str]) -> None:
        """Add jobs for which the plugin waits, since Slurm may forget a job before it was ever seen."""
        for job in jobs:
            self._states.setdefault(job, "PENDING")

    def settle(self, told: Mapping[str, str]) -> States:
        """The states in words that the plugin understands, including those of jobs that are gone."""
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
    """Whether a job in this state has not ended yet."""
    return state in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "STAGE_OUT")


def watched(query: Query, watch: Watch) -> Query:
    """The plugin's query, with its answer passed through `watch`, and with `squeue` if `sacct` does not answer."""

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
    """Watch the plugin's queries in this process; does nothing if the plugin is not loaded."""
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
    """The plugin's command line with `petscale.workspace.slurm.submit` instead of `sbatch`."""

    def make(*args: Any, **kwargs: Any) -> str:
        program, _, rest = command(*args, **kwargs).partition(" ")
        assert program == "sbatch", program
        return f"{shlex.quote(sys.executable)} -m petscale.workspace.slurm.submit {rest}"

    return make
