"""Runs commands in the warm worker, and is the worker's process: `python -m petscale.cli.worker SOCKET`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from petscale.training import warm


def run_in_worker(arguments: Sequence[str]) -> int | None:
    """Run `petscale <arguments>` in a child of the warm worker; None if this process has to run the command itself."""
    return warm.ask(arguments, worker=[sys.executable, "-P", "-m", "petscale.cli.worker"]) if warm.wanted() else None


def main(socket: Path) -> None:
    """Import the modules that a cell needs, then serve commands on the socket until none has come for a while."""
    # Imported here, before the first fork, so that every child has them in memory.
    import petscale.training.probe
    import petscale.training.run
    import petscale.training.transfer  # noqa: F401
    from petscale.cli.main import run_forked
    from petscale.study.stages import ENTRIES, cell_code

    for family in ENTRIES["families"]:
        for method in ENTRIES["methods"]:
            cell_code(method, family)  # the result is cached, so that the children need not parse the sources again
    warm.serve(socket, run_forked)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
