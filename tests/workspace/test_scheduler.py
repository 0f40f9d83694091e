"""States of Slurm on which the executor plugin would wait for ever, and time limits as Slurm prints them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from petscale.errors import BadInput
from petscale.study.layout import Layout
from petscale.workspace import scheduler
from petscale.workspace.scheduler import Watch, parse_limit, watched
from petscale.workspace.submit import PAUSE_S, submit


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
    """`sacct` names who cancelled; the plugin compares the whole text and would see a running job."""
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
    """Gone from `squeue` while the driver slept: its outputs decide, which UNKNOWN makes the plugin look at."""
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
    """A new version of the plugin may move these; then the watch would guard nothing, without a word."""
    plugin = pytest.importorskip(scheduler.PLUGIN)
    assert "query_job_status(" in Path(plugin.__file__).read_text()
    assert callable(plugin.query_job_status)
    assert callable(plugin.Executor.check_active_jobs)


def test_a_job_that_comes_again_leaves_alone_what_was_finished_for_it(tmp_path: Path) -> None:
    """Of its members, one was made since the driver started, one before it (and is to be replaced), one never."""
    layout, started = Layout(str(tmp_path)), tmp_path / "started"
    jobs = [SimpleNamespace(rulename="train", wildcards_dict={"cell": f"b/t/m/seed{i}"}) for i in range(3)]
    other = SimpleNamespace(rulename="tokenize", wildcards_dict={})
    assert scheduler.unfinished(jobs, layout, started) == jobs
    for moment, name in enumerate([layout.result("b/t/m/seed1"), str(started), layout.result("b/t/m/seed0")]):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
        os.utime(name, ns=(moment, moment))
    assert scheduler.unfinished([*jobs, other], layout, started) == [*jobs[1:], other]


def test_cells_that_ended_without_a_driver_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this code and image alone, once, and nothing that is to run or that a driver saw end."""

    def job(name: str, rule: str = "train") -> SimpleNamespace:
        return SimpleNamespace(rule=SimpleNamespace(name=rule), output=[name])

    class Persistence:
        known: ClassVar = {"seen"}

        def has_metadata(self, job: Any) -> bool:
            return job.output[0] in self.known

        def finished(self, job: Any) -> None:
            self.known.add(job.output[0])

    jobs = [job("seen"), job("unseen"), job("pending"), job("other code"), job("unseen rows", "prepare")]
    workflow = SimpleNamespace(
        dag=SimpleNamespace(jobs=jobs, needrun=lambda job: job.output[0] == "pending"),
        persistence=Persistence(),
        async_run=lambda done: done,
    )
    monkeypatch.setattr(scheduler, "_made_by", lambda path, code, image: path.name != "other code")
    assert [scheduler.adopt(workflow, None) for _ in range(2)] == [1, 0]
    assert Persistence.known == {"seen", "unseen"}


@pytest.mark.parametrize(
    "text, minutes",
    [("1:00:00", 60), ("30:00", 30), ("1-12:00:00", 2160), ("infinite", None), ("n/a", None), ("", None)],
)
def test_limits(text: str, minutes: int | None) -> None:
    assert parse_limit(text) == minutes


def test_one_driver_a_folder(tmp_path: Path) -> None:
    """A second one would take the first one's jobs for those of a dead driver and cancel them."""
    first = scheduler.only_driver(str(tmp_path))
    with pytest.raises(BadInput, match=rf"process {os.getpid()} on .* wait for it"):
        scheduler.only_driver(str(tmp_path))
    first.close()
    scheduler.only_driver(str(tmp_path)).close()


@pytest.mark.parametrize(
    "error, tries",
    [
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", 3),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", 3),
        ("sbatch: error: invalid partition specified: gpu", 1),
    ],
)
def test_sbatch_waits_for_what_time_mends(tmp_path: Path, error: str, tries: int) -> None:
    """A stand-in refuses twice, then takes the job: refusals that pass are waited out, others end at once."""
    program, calls, slept = tmp_path / "sbatch", tmp_path / "calls", list[float]()
    program.write_text(
        f'#!/bin/sh\necho "$@ $(cat)" >>{calls}\n[ $(wc -l <{calls}) -gt 2 ] && echo 41 && exit 0\n'
        f'echo "{error}" >&2; exit 1\n'
    )
    program.chmod(0o755)
    done = submit(["--parsable", "/dev/stdin"], "script", str(program), sleep=slept.append)
    assert calls.read_text().splitlines() == ["--parsable /dev/stdin script"] * tries
    assert (done.returncode, done.stdout) == ((0, "41\n") if tries == 3 else (1, ""))
    assert slept == [PAUSE_S] * (tries - 1)


def test_sbatch_is_given_up_after_an_hour(tmp_path: Path) -> None:
    slept: list[float] = []
    program = tmp_path / "sbatch"
    program.write_text("#!/bin/sh\necho 'Socket timed out on send/recv operation' >&2; exit 1\n")
    program.chmod(0o755)
    assert submit([], None, str(program), patience_s=90, sleep=slept.append).returncode == 1
    assert sum(slept) == 90


def test_orphans_are_this_folders_petscale_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "1|petscale_aa|/study\n2|petscale_bb|/elsewhere\n3|other|/study\n4|petscale_cc|/study\n"
    monkeypatch.setattr(scheduler, "_slurm", lambda *words: told)
    assert scheduler.orphans("/study") == ["1", "4"]
