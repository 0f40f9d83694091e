"""The page of the command line: a section for each command, from the parsers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from petscale.cli.main import COMMANDS

PAGE = "commands.md"


def page() -> str:
    """The page in MyST Markdown; sphinx-argparse fills in options and arguments."""
    parts = [
        "# The command line\n\n"
        "`petscale COMMAND --help` prints the same. A mistake in the input gives one line on the standard error that "
        "names the file and the key.\n"
    ]
    for name, line in COMMANDS.items():
        options = f":module: commands\n:func: parser_of_{name}\n:prog: petscale {name}\n:nodescription:"
        parts.append(f"## petscale {name}\n\n{line[0].upper()}{line[1:]}.\n\n```{{argparse}}\n{options}\n```\n")
    return "\n".join(parts)


def __getattr__(name: str) -> Any:
    """`parser_of_<command>`: sphinx-argparse asks for a function by its name."""
    command = name.removeprefix("parser_of_")
    if command == name or command not in COMMANDS:
        raise AttributeError(name)
    return lambda: parser_of(command)


def parser_of(command: str) -> Any:
    """The parser of one command, without those of the others."""
    import argparse
    from importlib import import_module

    subparsers = argparse.ArgumentParser(prog="petscale").add_subparsers()
    import_module(f"petscale.cli.{command}").add_parser(subparsers)
    return subparsers.choices[command]


def _write(app: Sphinx) -> None:
    target = Path(app.srcdir) / PAGE
    if not target.exists() or target.read_text() != page():
        target.write_text(page())


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
