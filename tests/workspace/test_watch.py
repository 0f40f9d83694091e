"""The states of Slurm on which the plugin would wait for ever are turned into final ones."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from petscale.workspace.slurm.watch import PLUGIN, Watch, patient, watched


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    return Watch(clock, patience_s=60)


@pytest.mark.parametrize("told, settled", [("CANCELLED by 1000", "CANCELLED"), ("CANCELLED+", "CANCELLED")])
def test_a_cancelled_job_ends(watch: Watch, told: str, settled: str) -> None:
    """`sacct` adds the user who cancelled; the plugin compares the whole text and would see a running job."""
    assert watch.settle({"1": told}) == {"1": settled}


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_a_job_that_is_not_requeued_ends(watch: Watch, clock: Clock, state: str) -> None:
    assert watch.settle({"1": state}) == {"1": "RUNNING"}
    clock.now = 61
    assert watch.settle({"1": state}) == {"1": "CANCELLED"}


def test_a_requeued_job_goes_on(watch: Watch, clock: Clock) -> None:
    watch.settle({"1": "PREEMPTED"})
    clock.now = 50
    assert watch.settle({"1": "PENDING"}) == {"1": "PENDING"}
    clock.now = 100
    assert watch.settle({"1": "PREEMPTED"}) == {"1": "RUNNING"}  # patience begins anew


def test_a_job_that_slurm_forgot_ends(watch: Watch, clock: Clock) -> None:
    """It vanished from `squeue` while the driver was suspended; UNKNOWN makes the plugin check the outputs."""
    watch.settle({"1": "RUNNING", "2": "COMPLETED"})
    assert watch.settle({}) == {"1": "RUNNING", "2": "COMPLETED"}
    clock.now = 61
    assert watch.settle({}) == {"1": "UNKNOWN", "2": "COMPLETED"}


def test_a_job_that_was_never_seen_ends(watch: Watch, clock: Clock) -> None:
    watch.expect(["7"])
    assert watch.settle({}) == {"7": "PENDING"}
    clock.now = 61
    assert watch.settle({}) == {"7": "UNKNOWN"}


def test_without_accounting_the_controller_is_asked(watch: Watch) -> None:
    asked = []

    async def query(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        asked.append(command)
        return (None, None) if command.startswith("sacct") else ({"1": "COMPLETED"}, 0.1)

    told = asyncio.run(watched(query, watch)("sacct -X --noheader --name petscale_ab-12", None))
    assert told == ({"1": "COMPLETED"}, 0.1)
    assert asked[1] == "squeue --format='%i|%T' --states=all --noheader --name petscale_ab-12"


def test_a_silent_controller_is_no_news(watch: Watch) -> None:
    async def query(command: str, logger: Any) -> tuple[None, None]:
        return None, None

    assert asyncio.run(watched(query, watch)("squeue --name x", None)) == (None, None)


def test_the_plugin_still_has_what_is_watched() -> None:
    """A new version of the plugin may rename these functions, and then the watch would silently do nothing."""
    plugin = pytest.importorskip(PLUGIN)
    assert "query_job_status(" in Path(plugin.__file__).read_text()
    assert callable(plugin.query_job_status)
    assert callable(plugin.Executor.check_active_jobs)


def test_jobs_are_submitted_with_patience() -> None:
    """This is the plugin's command line with the first word replaced by the command that retries."""
    plugin = pytest.importorskip(PLUGIN)

    class Resources(dict[str, Any]):
        __getattr__ = dict.get

    job = SimpleNamespace(resources=Resources(runtime=7, mem_mb=900), threads=1, is_group=lambda: False)
    params = dict.fromkeys(("account", "partition"), "")
    params |= {"run_uuid": "petscale_1", "slurm_logfile": "log", "comment_str": "cell", "workdir": "."}
    plain = plugin.get_submit_command(job, params)
    program, module, name, rest = patient(plugin.get_submit_command)(job, params).split(" ", 3)
    assert [program, module, name] == [sys.executable, "-m", "petscale.workspace.slurm.submit"]
    assert f"sbatch {rest}" == plain
    assert importlib.util.find_spec(name)
