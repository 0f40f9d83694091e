"""Commands that are printed for the user: they can be pasted as they are, in the folder where they were printed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import petscale
from petscale.workspace.study_file import DEFAULT

_PLACES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")  # where Snakemake looks by itself


def snakemake_options(study: Path, config: Sequence[str] = (), profile: str | None = None) -> str:
    """The options of `snakemake` that follow a target, in the form that a shell reads.

    Args:
        study: the study file.
        config: values that replace those of the study file, as after `--config`.
        profile: profile to use instead of two cores of this machine.
    """
    words = ["--profile", profile] if profile else ["--cores", "2"]
    snakefile = Path(petscale.__file__).parents[2] / "Snakefile"
    if not any(Path(place).exists() for place in _PLACES) and snakefile.exists():
        words += ["--snakefile", str(snakefile)]
    # Snakemake is told the default study by the Snakefile, so it need not be named.
    if str(study) != DEFAULT:
        words += ["--configfile", str(study)]
    return shlex.join([*words, *(["--config", *config] if config else [])])


def snakemake(target: str, options: str) -> str:
    """The command that makes one file. The target comes first, since options that take a list would take it too."""
    return f"snakemake {shlex.quote(target)} {options}"
