"""Commands that are printed can be pasted into a shell, whatever names contain and wherever they are printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from petscale.artefacts.layout import Layout
from petscale.cli.main import main
from petscale.workspace.commands import snakemake, snakemake_options

NAMES = ["study.yaml", "my study.yaml", "o'neil (é) $x.yaml", "-odd.yaml", "a;b&c.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_back_the_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    target = f"results/{name}/result.json"
    words = shlex.split(snakemake(target, snakemake_options(Path(name), ["seeds=[1, 2]"], "my profile")))
    assert words == [
        "snakemake", target, "--profile", "my profile", "--configfile", name, "--config", "seeds=[1, 2]",
    ]  # fmt: skip


def test_elsewhere_the_snakefile_is_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, `snakemake` in a folder of the user's finds no workflow."""
    monkeypatch.chdir(tmp_path)
    assert f"--snakefile {shlex.quote(str(root / 'Snakefile'))}" in snakemake_options(Path("s.yaml"))
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").touch()
    assert "--snakefile" not in snakemake_options(Path("s.yaml"))


def test_train_prints_the_whole_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lacked --cores and --configfile, without which it trains another study or nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").touch()
    study = tmp_path / "my study.yaml"
    study.write_text(
        "{name: one, ladders: [{name: T5, backbones: [mini-t5-small]}], tasks: [mini-sentiment], "
        "data: {source: mini}, seeds: [1], experiments: {methods: {methods: [lora]}}}"
    )
    assert main(["plan", "my study.yaml"]) == 0
    cell = next(word for word in capsys.readouterr().out.split() if "/lora/" in word)
    for form in (cell, f"results/cells/{cell}", f"./results/cells/{cell}/", f"{tmp_path}/results/cells/{cell}"):
        assert main(["train", form, "--study", "my study.yaml"]) == 2
        told = capsys.readouterr().err
        command = shlex.split(told.split("`")[1])
        assert command[0] == "snakemake"
        assert command[1].endswith("tokens.json")
        assert command[2:] == ["--cores", "2", "--configfile", "my study.yaml"]


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/result.json", "./{}", "{root}/{}", "{root}/./{}/result.json"])
def test_a_cell_is_known_in_every_form(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `ls`, tab completion, `find` and file managers give it."""
    monkeypatch.chdir(tmp_path)
    layout, cell = Layout(), "b/t/m/seed1-0"
    given = form.format(f"results/cells/{cell}", root=os.getcwd())
    assert layout.named_cell(given) == cell
    assert layout.named_cell(form.format(cell, root="results/cells")) == cell
