"""Snakemake reruns what reads local rows and backbones when their content changes, and not when their times do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workflow.project import Workflow
from workspace.local import LocalStudy, reviews, write_rows


class Inputs(Workflow):
    """The workflow, asked for the prepared rows and the backbone of a study alone, since training costs more."""

    targets: tuple[str, ...] = ()

    def planned(self, **changes: object) -> dict[str, int]:
        done = self.run(*self.targets, "-n", "--quiet", "rules")
        found = [line.split() for line in (done.stdout + done.stderr).splitlines()]
        return {words[0]: int(words[1]) for words in found if len(words) == 2 and words[1].isdigit()}


def test_content_reruns_and_times_do_not(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: a digest in a parameter of the rule, whatever the files look like from outside."""
    monkeypatch.chdir(tmp_path)
    study = LocalStudy(tmp_path)
    study.lay_out()
    workflow = Inputs(root, tmp_path, root / "src")
    workflow.write(**study.document)
    dag = study.dag()
    workflow.targets = (*map(dag.layout.data, dag.data), *map(dag.layout.backbone, dag.backbones))
    workflow.run(*workflow.targets, "--cores", "1")
    for path in (*study.rows.iterdir(), *study.backbone.iterdir()):
        os.utime(path)
    (study.rows / "train.jsonl~").write_text("an editor's backup")
    assert workflow.planned() == {}
    write_rows(study.rows / "train.jsonl", reviews(20, first=700))
    os.utime(study.rows / "train.jsonl", (1, 1))
    assert workflow.planned() == {"prepare": 1, "total": 1}
    weights = study.backbone / "model.safetensors"
    before, data = weights.stat(), bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert workflow.planned() == {"prepare": 1, "backbone": 1, "total": 2}
