"""Makes sure that a folder has only one driver, and deals with jobs and cells that an earlier driver left behind.

The driver is the `snakemake` process that submits jobs and waits for them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from petscale.artefacts.layout import Layout
from petscale.cells.record import read_result
from petscale.errors import BadInput
from petscale.search.record import read_probe
from petscale.workspace.slurm.ask import ask

PREFIX = "petscale"
"""Prefix of the names of jobs (`slurm-jobname-prefix` in the profile), by which a study's jobs are found again."""


def only_driver(folder: str) -> TextIO:
    """Take the lock of the only driver that submits this folder's cells; it is held until the handle is closed.

    Snakemake locks output files, so it allows two studies in one folder at once. But studies share cells, and a driver
    cancels the jobs that it finds from an earlier driver.

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

    The caller must hold `only_driver`, because then all of petscale's jobs in the folder are those of an earlier
    driver.
    """
    told = ask("squeue", "--me", "--noheader", "--format=%i|%j|%Z")
    rows = [line.split("|") for line in told.splitlines()]
    return [row[0] for row in rows if len(row) == 3 and row[1].startswith(f"{PREFIX}_") and row[2] == folder]


def cancel_orphans(folder: str, wait_s: float = 120.0) -> list[str]:
    """Cancel these jobs and wait until they are gone; the next job of a cell continues from its newest checkpoint.

    Otherwise they would hold the locks of the cells that this driver submits again.
    """
    found = orphans(folder)
    if found:
        ask("scancel", *found)
        until = time.monotonic() + wait_s
        while orphans(folder) and time.monotonic() < until:
            time.sleep(1.0)
    return found


def adopt(workflow: Any, image: str | None, code_of: Callable[[str], str]) -> int:
    """Record the parameters of cells that ended while no driver ran, as Snakemake does for jobs; return how many.

    Without such a record, a later change of its parameters would not rerun a cell. Only cells that were made by the
    current code and image are recorded; `petscale status --stale` lists the others.

    Args:
        workflow: Snakemake's, with its graph of jobs.
        image: digest of the image in which jobs run; None if they run in none.
        code_of: gives the digest of the code that makes a cell, from the cell's path.
    """
    adopted = 0
    for job in workflow.dag.jobs:
        if job.rule.name not in ("train", "probe") or workflow.dag.needrun(job):
            continue
        # A job that was submitted again, though its cell was done, is still marked as incomplete when its driver dies.
        marked = workflow.async_run(workflow.persistence.incomplete(job))
        if workflow.persistence.has_metadata(job) and not marked:
            continue
        if job.rule.name == "train":
            fine = _made_by(Path(job.output[0]), code_of(job.wildcards.cell), image)
        else:
            cell = read_probe(Path(job.output[0])).cell
            # The probe that ended a search made no cell; it is made again with those before it.
            fine = cell is None or _made_by(Path(Layout().result(cell)), code_of(job.wildcards.search), image)
        if not fine:
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
