"""The command line `petscale`: each command has a module, and only the module of the given command is imported."""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from petscale.cli import completion
from petscale.cli.version import ShowVersion
from petscale.errors import STOPPED_BY_HAND, Exit, PetscaleError

# command -> one line of help; the module petscale.cli.<command> has add_parser(subparsers).
COMMANDS = {
    "plan": "cells, exact counts and estimated cost of a study",
    "status": "which cells are done, failed, running, pending, and how to rerun each",
    "count": "exact parameter counts of a method on a backbone",
    "methods": "the methods that exist",
    "fetch": "download backbones and data sets of a study, on a machine with network",
    "export": "a trained delta as a folder for other tools",
    "compare": "what differs between two studies",
    "train": "train one cell",
    "transfer": "score a trained cell on another task",
    "track": "send metrics and artifacts of a study to MLflow; compare files and store",
    "measure": "speed, memory and energy of one method (a rule's command)",
    "probe": "one seed of one round of a search for thresholds or rates (a rule's command)",
    "prepare": "rows of one task (a rule's command)",
    "tokenize": "token ids of prepared rows (a rule's command)",
    "backbone": "a checked backbone folder (a rule's command)",
    "collect": "freeze the plan of a study and gather its results (a rule's command)",
    "analyse": "tables of a study (a rule's command)",
    "report": "the report of a study (a rule's command)",
    "schema": "default study file and JSON schema, generated from the models",
    "stages": "versions of the stages and the code that they stand for",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. A mistake of the user gives one line on stderr."""
    if completion.asked():
        completion.answer(_parser)  # ends the process
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack letters that names of files have
            stream.reconfigure(errors="backslashreplace")
    return _run(arguments, started=time.time())


def run_forked(arguments: list[str], started: float) -> int:
    """Run a command in a child of the warm worker; `started` is when the asking process began."""
    logging.getLogger().handlers.clear()
    sys.argv = ["petscale", *arguments]  # provenance records the command, and not that of the worker
    return _run(arguments, started)


def _run(arguments: list[str], started: float) -> int:
    args = _parser(arguments).parse_args(arguments)
    args.started = started
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        code: int = args.func(args)
        sys.stdout.flush()
    except PetscaleError as error:
        print(f"petscale: {' '.join(str(error).split())}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print(f"petscale: {STOPPED_BY_HAND}", file=sys.stderr)
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return int(Exit.DONE)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        _drop_output()
        print(f"petscale: {error.filename or 'standard output or results/'}: {error.strerror}", file=sys.stderr)
        return int(Exit.BUG)
    return int(code)


_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def _drop_output() -> None:
    """Throw away what was printed but not written, which Python would try to write once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Keeps argparse's error messages on one line, even if an argument contains line breaks."""

    def error(self, message: str) -> NoReturn:
        super().error(" ".join(message.split()))


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="petscale", description="How model scale changes parameter-efficient tuning.")
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="version and commit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked = next((word for word in arguments if not word.startswith("-")), None)
    # The list of all commands is shown only where no command comes first, and making it takes longer than small ones.
    listed = asked is None or arguments[0] != asked or asked not in COMMANDS
    for name, line in COMMANDS.items():
        if name == asked:
            import_module(f"petscale.cli.{name}").add_parser(subparsers)
        elif listed:
            subparsers.add_parser(name, help=line)
    return parser
