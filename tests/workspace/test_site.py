"""The site file gives the right resources, and a mistake in it gives one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from petscale.errors import BadInput
from petscale.workspace.site import Site, read_site


def test_the_example_shows_every_key_and_its_default(root: Path) -> None:
    shown = yaml.safe_load((root / "workflow/profiles/slurm/site.example.yaml").read_text())
    assert shown == Site().model_dump()


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, {"gpu": 2}),
        ({"gpu_model": "a100"}, {"gpu": 2, "gpu_model": "a100"}),
        ({"gpu_style": "gres"}, {"gres": "gpu:2"}),
        ({"gpu_style": "gres", "gpu_model": "a100"}, {"gres": "gpu:a100:2"}),
    ],
)
def test_two_devices_in_the_styles_of_sites(settings: dict[str, str], expected: dict[str, object]) -> None:
    for count in (2, lambda wildcards: 2):
        wanted = Site.model_validate(settings).devices(count)
        assert {name: value(None) if callable(value) else value for name, value in wanted.items()} == expected


def test_jobs_without_gpu_go_elsewhere() -> None:
    site = Site(partition="gpu", cpu_partition="cpu", constraint="a100", account="me")
    assert site.placement(True) == {"slurm_partition": "gpu", "constraint": "a100", "slurm_account": "me"}
    assert site.placement(False) == {"slurm_partition": "cpu", "slurm_account": "me"}


@pytest.mark.parametrize(
    "text, words",
    [("partitoin: gpu\n", "key partitoin"), ("gpu_style: slots\n", "key gpu_style"), ("account: a b\n", "key account")],
)
def test_a_wrong_key_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    monkeypatch.setenv("PETSCALE_SITE", str(path))
    with pytest.raises(BadInput, match=f"site.yaml: {words}"):
        read_site(tmp_path)


def test_without_a_file_slurm_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PETSCALE_SITE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_site(tmp_path) == Site()
