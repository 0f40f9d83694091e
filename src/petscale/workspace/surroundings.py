"""Settings of the environment without which jobs and libraries fail on some machines."""

from __future__ import annotations

import getpass
import os


def settle_environment() -> None:
    """Set the variables that this process and all jobs it starts need.

    * Python must not look for modules in the working directory, where a script of the user's may be called `random.py`.
    * Snakemake and other libraries ask for the name of the user, which a uid in a container may lack.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"
