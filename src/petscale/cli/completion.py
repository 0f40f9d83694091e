"""Completion of commands and options in a shell: `eval "$(register-python-argcomplete petscale)"`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence


def asked() -> bool:
    """Whether a shell called this process for completions (argcomplete's protocol)."""
    return "_ARGCOMPLETE" in os.environ


def answer(parser: Callable[[Sequence[str]], argparse.ArgumentParser]) -> None:
    """Write the completions of the line that the shell passes, and end the process.

    Args:
        parser: makes the parser for a list of words, as for a call with these words.
    """
    import argcomplete

    words = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])].split()[1:]
    argcomplete.autocomplete(parser(words))
