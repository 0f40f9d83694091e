"""The replacement for `sbatch` retries temporary refusals and returns permanent ones at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from petscale.workspace.slurm.submit import PAUSE_S, submit


@pytest.mark.parametrize(
    "error, tries",
    [
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", 3),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", 3),
        ("sbatch: error: invalid partition specified: gpu", 1),
    ],
)
def test_sbatch_waits_for_what_time_mends(tmp_path: Path, error: str, tries: int) -> None:
    """A fake sbatch refuses twice and then accepts: temporary refusals are retried, others are returned at once."""
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
