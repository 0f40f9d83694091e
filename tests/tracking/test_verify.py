"""`--verify` finds differences even of equal size, and a file damaged on disk does not replace that of the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petscale.cli.main import main
from petscale.errors import Exit
from petscale.tracking.rounds import Tracker
from petscale.tracking.store import Store
from petscale.tracking.study_run import study_subject
from petscale.tracking.trace import subject

Open = Callable[[], Store]


@pytest.fixture
def verify(results: Any, study_file: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `petscale track` with options on the store of `results`; its exit code and what it says."""

    def run(*options: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["track", str(study_file), "--results", results.root, *options])
        return (code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("harm", ["content", "run", "none"])
def test_the_run_of_the_study_is_compared_too(results: Any, open_store: Open, verify: Any, harm: str) -> None:
    """Guards the report in the UI: its run could be gone, or hold another report of the same size, unnoticed."""
    for cell in results.cells:
        results.run(cell)
    report = Path(results.layout.study("small"), "report.html")
    report.parent.mkdir()
    report.write_text("<html>1</html>")
    Tracker(results.grid, results.root, results.cells).round(open_store)
    store = open_store()
    (run,) = store.runs(study_subject("small"))
    if harm == "content":
        (stored,) = Path(results.root, "tracking", "artifacts").rglob("report.html")
        stored.write_text("<html>2</html>")
    elif harm == "run":
        store.delete(run.info.run_id)
    code, out, _ = verify("--verify")
    assert code == (harm != "none")
    if harm != "none":
        expected = {"content": "artifact report.html: another content", "run": "0 active runs"}[harm]
        assert f"study small: {expected}" in out
    assert verify()[0] == Exit.DONE
    assert verify("--verify")[:2] == (0, "4 cells agree with the store, 0 differ\n")


def test_one_cell_says_nothing_of_the_study(results: Any, open_store: Open, verify: Any) -> None:
    """`track --cells` knows only one cell, so it must not overwrite the study's counts."""
    for cell in results.cells:
        results.run(cell)
    report = Path(results.layout.study("small"), "report.html")
    report.parent.mkdir()
    report.write_text("<html></html>")
    Tracker(results.grid, results.root, results.cells).round(open_store)
    assert verify("--cells", results.cells[0])[0] == Exit.DONE
    store = open_store()
    (run,) = store.runs(study_subject("small"))
    assert {(p.key, p.number) for p in store.points(run.info.run_id)} == {("cells/done", 4.0)}


@pytest.mark.parametrize("name", ["metrics.jsonl", "curve.csv", "predictions.parquet", "delta.safetensors"])
@pytest.mark.parametrize("gone", [False, True])
def test_damaged_files_do_not_replace_a_good_run(
    results: Any, open_store: Open, verify: Any, name: str, gone: bool
) -> None:
    """A digit changes on the disk; neither --verify nor track may replace the good copy in MLflow."""
    for cell in results.cells[:2]:
        results.run(cell)
    cell = results.cells[0]
    Tracker(results.grid, results.root, results.cells).round(open_store)
    store = open_store()
    (run,) = store.runs(subject(cell))
    points = store.points(run.info.run_id)
    path = Path(results.layout.result(cell)).parent / name
    before, data = path.stat(), bytearray(path.read_bytes())
    path.unlink()
    if not gone:
        at = next((at for at, byte in enumerate(data) if chr(byte).isdigit()), 0)
        data[at] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk does it: same size, same time
    code, out, _ = verify("--verify")
    assert code == 1
    assert f"{cell}: damaged: {path}: " in out
    assert "1 cells agree with the store, 0 differ; 1 damaged, whose runs are left alone" in out
    for _ in range(2):
        code, out, err = verify()
        assert code == Exit.BAD_INPUT
        assert f"petscale: {cell}: {path}: " in err
        assert "0 sent, 1 unchanged, 1 damaged" in out
    (left,) = store.runs(subject(cell))
    assert (left.info.run_id, left.info.status) == (run.info.run_id, "FINISHED")
    assert store.points(run.info.run_id) == points
