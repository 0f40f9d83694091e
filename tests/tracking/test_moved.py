"""A project that is renamed or copied with its default store keeps its artifacts, and leaves those of others alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from petscale.cli.main import main
from petscale.errors import Exit
from petscale.study.grid import Grid

from .conftest import Results


@pytest.fixture
def project(
    tmp_path: Path, grid: Grid, empty_database: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with a finished cell, and an empty default store."""
    folder = tmp_path / "a"
    database = folder / "results" / "tracking" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copyfile(empty_database, database)
    shutil.copyfile(study_file, folder / "small.yaml")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Results(str(folder / "results"), grid).run(next(iter(grid.cells)))
    return folder


def track(project: Path, *options: str) -> int:
    """`petscale track` of the project with its default store, by absolute paths: mlflow keeps open what it opened."""
    return main(["track", str(project / "small.yaml"), "--results", str(project / "results"), *options])


def places(project: Path) -> set[Path]:
    """The folders to which the store's runs point; each holds artifacts."""
    client = MlflowClient(f"sqlite:///{project}/results/tracking/mlflow.db")
    found = set()
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            assert client.list_artifacts(run.info.run_id), run.info.artifact_uri
            found.add(Path(run.info.artifact_uri.removeprefix("file://")))
    return found


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_renamed_project_takes_its_artifacts_with_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MLflow would go on writing into the folder that is no longer there, and make it anew."""
    assert track(project) == Exit.DONE
    assert len(places(project)) == 1
    moved = project.rename(project.with_name("b"))
    assert track(moved, "--verify") == Exit.DONE, capsys.readouterr().out
    assert all(place.is_relative_to(moved) for place in places(moved))
    assert track(moved) == Exit.DONE
    assert not project.exists()


def test_a_copy_writes_into_its_own_folder(project: Path, grid: Grid) -> None:
    assert track(project) == Exit.DONE
    copy = project.with_name("c")
    shutil.copytree(project, copy)
    before = files(project)
    Results(str(copy / "results"), grid).run(list(grid.cells)[1])
    assert track(copy) == Exit.DONE
    assert files(project) == before
    assert len(places(copy)) == 2
    assert all(place.is_relative_to(copy) for place in places(copy))
    assert track(project, "--verify") == Exit.DONE
    assert all(place.is_relative_to(project) for place in places(project))


def test_runs_of_another_project_keep_their_artifacts(project: Path, grid: Grid, tmp_path: Path) -> None:
    """Two projects may share the store of one of them. Here the guest comes first and decides the place."""
    other = tmp_path / "other"
    Results(str(other / "results"), grid).run(list(grid.cells)[2])
    shutil.copyfile(project / "small.yaml", other / "small.yaml")
    uri = f"sqlite:///{project}/results/tracking/mlflow.db"
    assert track(other, "--uri", uri) == Exit.DONE
    assert track(project) == Exit.DONE
    assert track(project, "--verify") == Exit.DONE
    assert track(other, "--uri", uri, "--verify") == Exit.DONE
    assert {place.is_relative_to(other) for place in places(project)} == {True, False}
