"""Several processes, or several parts of a batch, give what one process gives on the whole batch at once."""

from __future__ import annotations

import csv

import pyarrow.parquet as pq
import pytest
import torch

from petscale.errors import Exit
from petscale.record import read_result
from petscale.training.run import Job, run_cell
from petscale.training.state import read_status
from petscale.tuning.files import load_delta
from training.bench import Bench, make_cell

# Dropout is on in these cells, so masks must be the whole batch's in every process, not just the gradients.
TOLERANCE = {"rtol": 1e-4, "atol": 2e-6}


def curve(job: Job) -> list[dict[str, float]]:
    with open(job.folder / "curve.csv", newline="") as handle:
        return [{key: float(row[key] or "nan") for key in row if key != "seconds"} for row in csv.DictReader(handle)]


def assert_same(found: Job, expected: Job) -> None:
    """Equal but for rounding: values, losses, scores; and the same examples in the same order."""
    torch.testing.assert_close(
        load_delta(found.folder / "delta.safetensors")[1],
        load_delta(expected.folder / "delta.safetensors")[1],
        **TOLERANCE,
    )
    for ours, theirs in zip(curve(found), curve(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, nan_ok=True)
    ours, theirs = (pq.read_table(job.folder / "predictions.parquet").to_pydict() for job in (found, expected))
    assert ours == theirs
    records = [read_result(job.folder / "result.json") for job in (found, expected)]
    assert records[0].test == records[1].test
    assert records[0].counts.trainable == records[1].counts.trainable
    assert records[0].counts.stored == records[1].counts.stored


@pytest.mark.parametrize("family", ["t5", "bert"])
@pytest.mark.parametrize("method", ["full", "lora", "apet-discrete"])
def test_two_processes_give_what_one_gives(bench: Bench, family: str, method: str) -> None:
    """The test's 20 rows are shared unevenly by construction of the lengths; batches of 16 are halved."""
    cell = make_cell(family, method)
    one, two = (bench.job(family, f"{n}-process-{family}-{method}", devices=n) for n in (1, 2))
    assert run_cell(cell, one) == Exit.DONE
    assert run_cell(cell, two) == Exit.DONE
    assert_same(two, one)
    record = read_result(two.folder / "result.json")
    assert record.provenance["devices"] == 2
    assert (read_status(two.state) or {})["step"] == 6
