"""The one driver of a folder, and jobs and cells of an earlier one that nobody waits for any more."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Any, TextIO

from petscale.cells.record import read_result
from petscale.errors import BadInput
from petscale.study.stages import code_digest
from petscale.workspace.slurm.ask import ask

PREFIX = "petscale"
"""Of the names of jobs (`slurm-jobname-prefix` in the profile); by it a study's jobs are found again."""


def only_driver(folder: str) -> TextIO:
    """The lock of the one driver that sends this folder's cells to Slurm; held until the handle is closed.

    Snakemake's own lock is on files, so two studies of one folder run side by side; but cells are shared by studies,
    and a driver cancels what it finds of an earlier one's jobs.

    Raises:
        BadInput: another driver holds it; the message names it.
    """
    path = Path(folder) / ".snakemake" / "petscale-driver"
    path.parent.mkdir(exist_ok=True)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise BadInput(f"{path}: {holder or 'another driver'} sends jobs from this folder; wait for it") from None
    handle.truncate(0)
    handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    handle.flush()
    return handle


def orphans(folder: str) -> list[str]:
    """Jobs of an earlier driver in the working directory `folder` that are still queued or running.

    For who holds `only_driver`: then all of petscale's jobs there are an earlier driver's.
    """
    told = ask("squeue", "--me", "--noheader", "--format=%i|%j|%Z")
    rows = [line.split("|") for line in told.splitlines()]
    return [row[0] for row in rows if len(row) == 3 and row[1].startswith(f"{PREFIX}_") and row[2] == folder]


def cancel_orphans(folder: str, wait_s: float = 120.0) -> list[str]:
    """Cancel them and wait until they are gone; the next job of a cell goes on from its newest checkpoint.

    Left alone, they would hold the cells that this driver submits again.
    """
    found = orphans(folder)
    if found:
        ask("scancel", *found)
        until = time.monotonic() + wait_s
        while orphans(folder) and time.monotonic() < until:
            time.sleep(1.0)
    return found


def adopt(workflow: Any, image: str | None) -> int:
    """Record, as Snakemake does for jobs that it saw end, the cells that ended while no driver ran; returns how many.

    Without a record of its parameters a later change of them would not rerun a cell. Only what this code made in this
    image is taken over; `petscale status --stale` lists the others.
    """
    code, adopted = code_digest("train"), 0
    for job in workflow.dag.jobs:
        if job.rule.name != "train" or workflow.dag.needrun(job):
            continue
        if workflow.persistence.has_metadata(job) or not _made_by(Path(job.output[0]), code, image):
            continue
        workflow.async_run(workflow.persistence.finished(job))
        adopted += 1
    return adopted


def _made_by(result: Path, code: str, image: str | None) -> bool:
    try:
        record = read_result(result)
    except BadInput:
        return False
    return record.hashes.get("code") == code and record.provenance.get("image") == image
