"""Jobs get the description of their image, and another image is noticed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from petscale.errors import BadInput
from petscale.workspace.dag import locked, numeric_digest
from petscale.workspace.image import Image, describe, description_of, enter, read_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path, environment = tmp_path / "a.sif", tmp_path / "environment.json"
    path.write_bytes(b"an image")
    environment.write_text(json.dumps({"torch": "cpu", "python": "3.11.2", "packages": {"torch": "2.13.0+cpu"}}))
    describe(path, environment)
    return path


def test_a_description_is_read_back(image: Path) -> None:
    found = read_image(image)
    assert (found.torch, found.packages) == ("cpu", {"torch": "2.13.0+cpu"})
    assert found.sha256 == hashlib.sha256(b"an image").hexdigest()


def test_an_image_replaced_in_place_is_refused(image: Path) -> None:
    """Snakemake compares only names of images, and the description would be that of the earlier image."""
    later = description_of(image).stat().st_mtime_ns + 10**9
    os.utime(image, ns=(later, later))
    with pytest.raises(BadInput, match="newer than"):
        read_image(image)


def test_a_missing_image_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"petscale\.sif\.json.*make image"):
        read_image(tmp_path / "petscale.sif")


def test_a_build_of_torch_is_no_other_version(root: Path) -> None:
    """The lock file pins torch without a build, so the build reruns no cell; another version of torch reruns them."""
    pins = locked(root / "envs" / "requirements.lock")
    built = {**pins, "torch": pins["torch"] + "+cpu"}
    assert numeric_digest(built) == numeric_digest(pins)
    assert numeric_digest({**pins, "torch": "2.0.0"}) != numeric_digest(pins)
    assert numeric_digest({**pins, "mlflow": "0"}) == numeric_digest(pins)


def test_results_on_another_disk_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPTAINER_BIND", "")
    for name in ("PYTHONPATH", "PETSCALE_CACHE", "PETSCALE_IMAGE"):
        monkeypatch.setenv(f"APPTAINERENV_{name}", "")
    scratch, work = tmp_path / "scratch", tmp_path / "work"
    (scratch / "state").mkdir(parents=True)
    (work / "results").mkdir(parents=True)
    (work / "results" / "state").symlink_to(scratch / "state")
    enter(Image("ab" * 32, "cpu", "3.11.2", {}), tmp_path, work, [])
    assert f"{scratch / 'state'}:{scratch / 'state'}" in os.environ["APPTAINER_BIND"].split(",")


def test_jobs_can_write_into_the_working_directory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPTAINER_BIND", raising=False)
    for name in ("APPTAINERENV_PYTHONPATH", "APPTAINERENV_PETSCALE_CACHE", "APPTAINERENV_PETSCALE_IMAGE"):
        monkeypatch.setenv(name, "")
    package, rows = tmp_path / "checkout" / "src", tmp_path / "rows"
    package.mkdir(parents=True)
    rows.mkdir()
    enter(Image("ab" * 32, "cpu", "3.11.2", {}), package, tmp_path / "work", [rows, tmp_path / "absent"])
    binds = os.environ["APPTAINER_BIND"].split(",")
    assert binds[0] == f"{tmp_path / 'work'}:{tmp_path / 'work'}"
    assert f"{rows}:{rows}:ro" in binds
    assert all(bind.endswith(":ro") for bind in binds[1:])
    assert not any("absent" in bind for bind in binds)
    assert os.environ["APPTAINERENV_PETSCALE_IMAGE"] == "sha256:" + "ab" * 32
