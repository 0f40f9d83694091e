"""Twelve cells run through a real Slurm, each in the image on a simulated GPU, while many things go wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.conftest import CELLS, QUICK, Eye, Folder, jobs, slurm, wait_for
from petscale.workspace.dag import locked
from petscale.workspace.image import read_image

pytestmark = pytest.mark.cluster
TIMES = ("throughput", "peak_memory", "provenance", "energy_j", "files", "seal")


def numbers(record: Any, place: str = "") -> dict[str, Any]:
    """Every value of a record by its place, without times and hosts, and without the digest of a file of floats."""
    if not isinstance(record, (dict, list)):
        return {place: record}
    items = record.items() if isinstance(record, dict) else enumerate(record)
    found = {}
    for key, value in items:
        if place or key not in TIMES:
            found.update(numbers(value, f"{place}/{key}"))
    found.pop("/hashes/delta", None)
    return found


def test_image_and_environment_hold_the_same_versions(root: Path, image: Path) -> None:
    """Both come from the lock: each pin is in the image at that version; labels of torch's builds aside."""
    held = {name: version.split("+")[0] for name, version in read_image(image).packages.items()}
    pins = {
        name.lower().replace("_", "-"): version for name, version in locked(root / "envs/requirements.lock").items()
    }
    assert len(pins) > 50
    assert {name: held.get(name) for name in pins} == pins


@pytest.fixture(scope="module")
def story(make_folder: Callable[[str], Folder], root: Path) -> dict[str, Any]:
    """The study with, in the middle: a cancelled job, a requeued one, a drained node, a preempted one, a dead driver.

    One cell cannot publish all the while, for there is a folder where its delta belongs.
    """
    folder = make_folder("cluster")
    plan = {cell["cell"] for cell in folder.status()["cells"]}
    broken = sorted(cell for cell in plan if "/bitfit/" in cell)[0]
    obstacle = folder.path / "results" / "cells" / broken / "delta.safetensors"
    obstacle.mkdir(parents=True)
    checkout = subprocess.check_output(["git", "status", "--porcelain", "--ignored"], cwd=root, text=True)
    told: dict[str, Any] = {"folder": folder, "broken": broken, "plan": plan}
    node = os.uname().nodename

    with Eye(folder.path) as eye:
        driver = folder.start("--profile", "slurm", *QUICK)
        first = wait_for("running job", lambda: jobs("RUNNING"), folder)[0]
        told["asked"] = slurm("scontrol", "show", "job", first)
        wait_for("result", folder.results, folder)
        slurm("scancel", first)
        second = wait_for("other job", lambda: [job for job in jobs("RUNNING") if job != first], folder)[0]
        slurm("scontrol", "requeue", second)
        slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        wait_for("drained node", lambda: "drain" in slurm("sinfo", "-h", "-o", "%T"), folder)
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
        third = wait_for("job again", lambda: jobs("RUNNING"), folder)[0]
        slurm("sbatch", "--parsable", "-p", "urgent", "--gpus=2", "--mem=100", "-o", "/dev/null", "--wrap", "sleep 2")
        wait_for("preemption", lambda: third not in jobs("RUNNING"), folder)
        wait_for("job after it", lambda: jobs("RUNNING"), folder)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        told["middle"] = folder.status()["totals"]
        assert folder.run("--profile", "slurm", "--unlock") == 0, folder.tail()
        told["code"] = folder.run("--profile", "slurm", *QUICK)
        told["after"] = folder.status()
        obstacle.rmdir()
        before = {path: path.stat().st_mtime_ns for path in (folder.path / "results" / "cells").rglob("result.json")}
        rerun = next(cell["rerun"] for cell in told["after"]["cells"] if cell["cell"] == broken)
        words = [str(folder.path / "study.yaml") if word == "study.yaml" else word for word in rerun.split()[1:]]
        told["rerun"] = folder.run(*words, *QUICK)
        told["untouched"] = all(path.stat().st_mtime_ns == time for path, time in before.items())
        told["report"] = folder.run("--profile", "slurm", *QUICK)
    told["eye"] = eye
    told["checkout"] = (
        checkout,
        subprocess.check_output(["git", "status", "--porcelain", "--ignored"], cwd=root, text=True),
    )
    return told


def test_jobs_ask_for_a_gpu_and_for_what_the_estimates_say(story: dict[str, Any]) -> None:
    assert "gres:gpu:1" in story["asked"]
    assert "Requeue=1" in story["asked"]


def test_after_all_that_the_study_is_complete(story: dict[str, Any]) -> None:
    folder: Folder = story["folder"]
    assert story["report"] == 0, folder.tail()
    assert set(folder.results()) == story["plan"]
    assert len(story["plan"]) == CELLS
    assert folder.status()["totals"]["done"] == CELLS
    assert (folder.path / "results" / "tiny" / "report.html").exists()
    # Also of the cells that ended while no driver ran, the parameters are known: later changes will rerun them.
    again = subprocess.run(
        folder.snakemake("cells", "-n", "--cores", "1"), cwd=folder.root, env=folder.environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Nothing to be done" in again.stderr + again.stdout
    assert "without provenance" not in again.stderr + again.stdout
    assert "metadata" not in again.stderr + again.stdout


def test_no_cell_is_trained_twice_at_once(story: dict[str, Any]) -> None:
    eye: Eye = story["eye"]
    assert set(eye.most) == story["plan"]
    assert max(eye.most.values()) == 1


def test_each_cell_ran_in_the_image_on_a_device(story: dict[str, Any], image: Path) -> None:
    assert story["eye"].places <= {f"{image.name} on GPU {index}" for index in (0, 1)}
    for record in story["folder"].results().values():
        assert record["provenance"]["image"] == f"sha256:{read_image(image).sha256}"
        assert record["provenance"]["scheduler"]["SLURM_JOB_ID"]


def test_status_tells_the_story(story: dict[str, Any]) -> None:
    """During the run some cells are done and none failed because of Slurm; at the end one failed, with its cause."""
    middle, after = story["middle"], story["after"]
    assert middle["done"] >= 1
    assert middle["done"] + middle["running"] + middle["interrupted"] + middle["failed"] + middle["pending"] == CELLS
    failed = [cell for cell in after["cells"] if cell["phase"] == "failed"]
    assert [cell["cell"] for cell in failed] == [story["broken"]]
    assert "delta.safetensors" in failed[0]["cause"]
    assert any(cell["attempts"] > 1 for cell in after["cells"])


def test_a_failed_cell_fails_alone_and_one_command_reruns_it_alone(story: dict[str, Any]) -> None:
    assert story["code"] != 0
    assert story["after"]["totals"]["done"] == CELLS - 1
    assert story["rerun"] == 0
    assert story["untouched"]


def test_the_tracker_holds_every_cell(story: dict[str, Any]) -> None:
    store = story["folder"].path / "results" / "tracking" / "mlflow.db"
    with sqlite3.connect(store) as connection:
        rows = connection.execute(
            "select t.value from tags t join runs r on r.run_uuid = t.run_uuid "
            "where t.key = 'cell' and r.lifecycle_stage = 'active' and r.status = 'FINISHED'"
        ).fetchall()
    assert sorted(cell for (cell,) in rows) == sorted(story["plan"])


def test_nothing_is_written_into_checkout_or_home(story: dict[str, Any]) -> None:
    before, after = story["checkout"]
    assert before == after
    home = Path(story["folder"].environment["HOME"])
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {("site.yaml",), (".cache", "snakemake")}


def test_results_equal_a_run_without_cluster_and_image(story: dict[str, Any], local: Folder) -> None:
    """The same versions, so the same numbers within float tolerance."""
    there, here = story["folder"].results(), local.results()
    assert set(there) == set(here)
    for cell, record in there.items():
        one, two = numbers(record), numbers(here[cell])
        floats = {place for place, value in one.items() if isinstance(value, float)}
        assert {place: one[place] for place in one.keys() - floats} == {
            place: two[place] for place in two.keys() - floats
        }
        assert {place: one[place] for place in floats} == pytest.approx(
            {place: two[place] for place in floats}, rel=1e-5
        )


def test_results_equal_a_local_run_of_the_image(story: dict[str, Any], make_folder: Callable[[str], Folder]) -> None:
    """Results are equal bit for bit, including deltas."""
    folder = make_folder("contained")
    cells = sorted(story["plan"])[:2]
    targets = [f"results/cells/{cell}/result.json" for cell in cells]
    assert folder.run(*targets, "--cores", "2", "--sdm", "apptainer") == 0, folder.tail()
    there, here = story["folder"].results(), folder.results()
    for cell in cells:
        assert numbers(there[cell]) == numbers(here[cell])
        assert there[cell]["hashes"]["delta"] == here[cell]["hashes"]["delta"]


def test_another_image_reruns_and_the_same_does_not(story: dict[str, Any], image: Path, tmp_path: Path) -> None:
    """Reruns depend on the versions in the image, not on its name."""
    folder: Folder = story["folder"]

    def trains(site: Path | None) -> bool:
        words = ["--sdm", "apptainer"] if site else []
        done = subprocess.run(
            folder.snakemake("cells", "-n", "--cores", "1", "--quiet", "rules", *words),
            cwd=folder.root,
            env={**folder.environment, **({"PETSCALE_SITE": str(site)} if site else {})},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return re.search(r"^train\s+\d+$", done.stdout + done.stderr, flags=re.MULTILINE) is not None

    def site_with(torch: str) -> Path:
        other = tmp_path / f"{torch}.sif"
        other.write_bytes(b"")
        held = json.loads(Path(f"{image}.json").read_text())
        held["packages"]["torch"] = torch
        Path(f"{other}.json").write_text(json.dumps(held))
        path = tmp_path / f"{torch}.yaml"
        path.write_text(f"image: {other}\n")
        return path

    torch = read_image(image).packages["torch"]
    assert not trains(None)
    assert not trains(site_with(torch))
    assert trains(site_with("2.0.0"))


def test_a_cell_that_slurm_stops_is_trained_again(make_folder: Callable[[str], Folder]) -> None:
    """SIGTERM to every process of the step, the one that serves the image included."""
    folder = make_folder("limit")
    recipe = {"steps": 800, "evaluate_every": 400, "learning_rate": 1e-3, "learning_rate_by_task": {}}
    folder.change(
        ladders=[{"name": "mini-t5", "backbones": ["mini-t5-small-random"]}],
        seeds=[1],
        recipe=recipe,
        experiments={"methods": {"methods": ["lora"]}},
    )
    driver = folder.start("cells", "--profile", "slurm", *QUICK)
    wait_for("step", lambda: folder.status()["cells"][0]["step"], folder)
    slurm("scancel", "--signal=TERM", jobs("RUNNING")[0])
    assert driver.wait(1_200) == 0, folder.tail()
    state = next((folder.path / "results" / "state").rglob("status.json"))
    outcomes = [attempt.get("outcome") for attempt in json.loads(state.read_text())["attempts"]]
    assert len(outcomes) == 2
    assert outcomes[-1] == "done"
    assert len(folder.results()) == 1


def test_a_search_is_one_job_and_goes_on_after_slurm_ended_it(make_folder: Callable[[str], Folder]) -> None:
    """Its budgets and scores are those of a search on this machine that nothing ended."""
    changes: dict[str, Any] = {
        "ladders": [{"name": "mini-t5", "backbones": ["mini-t5-small"]}],
        # So few steps teach no more than to write labels, which the reading of the paper counts as learnt.
        "recipe": {
            "steps": 6,
            "evaluate_every": 3,
            "learning_rate": 1e-2,
            "learning_rate_by_method": {"full": 1e-2},
            "learning_rate_by_task": {},
        },
        "analysis": {"threshold": {"rise_points": 0.5, "margin_points": 0.5}},
        "experiments": {"threshold": {"methods": ["apet-discrete"], "search": {"cells": 4, "reading": "published"}}},
    }
    folder, local = make_folder("search"), make_folder("search-local")
    folder.change(**changes)
    local.change(**changes)
    assert local.run("cells", "--cores", "2", "--quiet", "all") == 0, local.tail()

    driver = folder.start("cells", "--profile", "slurm", *QUICK)
    running = wait_for("job of the search", lambda: jobs("RUNNING", "search-"), folder)
    wait_for("first record", lambda: records(folder), folder)
    slurm("scancel", running[0])
    assert driver.wait(1_200) == 0, folder.tail()
    (search,) = folder.status()["searches"]
    assert (search["phase"], search["cells"]) == ("ended", 4)
    assert records(folder) == records(local)
    assert len(folder.results()) == 4 + search["cells"]
    assert folder.run("cells", "--profile", "slurm", *QUICK, "-n") == 0
    assert "Nothing to be done" in folder.tail()


def records(folder: Folder) -> dict[str, Any]:
    """The records of all probes, by name."""
    base = folder.path / "results" / "searches"
    return {path.name: json.loads(path.read_text()) for path in base.glob("*/*/*/round*.json")}
