"""A folder has one driver, which handles jobs of an earlier one; a restarted job skips finished members."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from petscale.artefacts.layout import Layout
from petscale.errors import BadInput
from petscale.workspace.slurm import driver, settings


def test_one_driver_a_folder(tmp_path: Path) -> None:
    """A second driver would cancel the jobs of the first one, as if that driver were dead."""
    first = driver.only_driver(str(tmp_path))
    with pytest.raises(BadInput, match=rf"process {os.getpid()} on .* wait for it"):
        driver.only_driver(str(tmp_path))
    first.close()
    driver.only_driver(str(tmp_path)).close()


def test_orphans_are_this_folders_petscale_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "1|petscale_aa|/study\n2|petscale_bb|/elsewhere\n3|other|/study\n4|petscale_cc|/study\n"
    monkeypatch.setattr(driver, "ask", lambda *words: told)
    assert driver.orphans("/study") == ["1", "4"]


def test_a_job_that_comes_again_leaves_alone_what_was_finished_for_it(tmp_path: Path) -> None:
    """One member was made after the driver started, one before it (and must be replaced), and one never."""
    layout, started = Layout(str(tmp_path)), tmp_path / "started"
    jobs = [SimpleNamespace(rulename="train", wildcards_dict={"cell": f"b/t/m/seed{i}"}) for i in range(3)]
    other = SimpleNamespace(rulename="tokenize", wildcards_dict={})
    assert settings.unfinished(jobs, layout, started) == jobs
    for moment, name in enumerate([layout.result("b/t/m/seed1"), str(started), layout.result("b/t/m/seed0")]):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
        os.utime(name, ns=(moment, moment))
    assert settings.unfinished([*jobs, other], layout, started) == [*jobs[1:], other]


def test_cells_that_ended_without_a_driver_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only cells of this code and image are recorded, once, and none that must run or that a driver saw end.

    A job that was submitted again when its cell was done is marked as incomplete, and its driver died.
    """

    def job(name: str, rule: str = "train") -> SimpleNamespace:
        return SimpleNamespace(rule=SimpleNamespace(name=rule), output=[name], wildcards=SimpleNamespace(cell=name))

    class Persistence:
        known: ClassVar = {"seen", "submitted again"}
        marked: ClassVar = {"submitted again"}

        def has_metadata(self, job: Any) -> bool:
            return job.output[0] in self.known

        def incomplete(self, job: Any) -> list[str]:
            return [name for name in job.output if name in self.marked]

        def finished(self, job: Any) -> None:
            self.known.add(job.output[0])
            self.marked.discard(job.output[0])

    names = ("seen", "submitted again", "unseen", "pending", "other code")
    jobs = [*(job(name) for name in names), job("unseen rows", "prepare")]
    workflow = SimpleNamespace(
        dag=SimpleNamespace(jobs=jobs, needrun=lambda job: job.output[0] == "pending"),
        persistence=Persistence(),
        async_run=lambda done: done,
    )
    monkeypatch.setattr(driver, "_made_by", lambda path, code, image: path.name != "other code")
    assert [driver.adopt(workflow, None, lambda cell: "code") for _ in range(2)] == [2, 0]
    assert Persistence.known == {"seen", "submitted again", "unseen"}
    assert not Persistence.marked


def test_looks_for_jobs_do_not_pile_up() -> None:
    """Snakemake plans a look for each look, so after a thousand jobs it looked a thousand times a second."""
    looks = threading.Semaphore(0)

    class Scheduler:
        _open_jobs = looks

    scheduler = Scheduler()
    for _ in range(50):  # fifty jobs end at once
        settings._look_once(scheduler, 0.01)
    for _ in range(3):  # each look plans one more, and no look is lost
        assert looks.acquire(timeout=60)
        settings._look_once(scheduler, 0.01)
    assert looks.acquire(timeout=60)
    assert not looks.acquire(timeout=0.2)


def test_no_look_is_planned_where_jobs_run_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of jobs a second is for those that are submitted."""
    monkeypatch.setattr(settings, "install", lambda: None)  # it would change Slurm's plugin for later tests
    monkeypatch.setattr(settings, "JobScheduler", SimpleNamespace())
    seen: list[Any] = []
    plugin = SimpleNamespace(common_settings=SimpleNamespace(local_exec=True, dryrun_exec=True))
    workflow = SimpleNamespace(
        execute=lambda **asked: seen.append(workflow.scheduling_settings.max_jobs_per_timespan),
        dag_settings=SimpleNamespace(rerun_triggers=set(), targets=(), forcerun=set()),
        scheduling_settings=SimpleNamespace(max_jobs_per_timespan="100/1s"),
        register_resource=lambda name, value: None,
        is_main_process=True,
    )
    settings.settle_settings(workflow, broken=lambda targets: [], begin=lambda: None)
    workflow.execute(executor_plugin=plugin)
    plugin.common_settings.local_exec = False
    workflow.scheduling_settings.max_jobs_per_timespan = "5/1s"
    workflow.execute(executor_plugin=plugin)
    assert seen == [None, "5/1s"]
