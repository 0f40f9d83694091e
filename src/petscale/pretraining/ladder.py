"""Builds the shipped ladders and their checksums: `python -m petscale.pretraining.ladder ladders [name ...]`."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from petscale.mini.specs import SPECS

CHECKSUMS = "CHECKSUMS"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_checksums(folder: Path) -> None:
    """Write one line for each file of every backbone below `folder`, in the format of `sha256sum --check`."""
    files = sorted(path for name in SPECS for path in (folder / name).glob("*") if path.is_file())
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines))


def main() -> None:
    """Build the named backbones, or all."""
    parser = argparse.ArgumentParser(prog="python -m petscale.pretraining.ladder", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the ladders stand")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(SPECS)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SPECS):
        parser.error(f"unknown backbone {', '.join(sorted(unknown))}")
    # Imported only here, because torch takes seconds to load.
    from petscale.pretraining.pretrain import build_backbone

    for name in arguments.names or SPECS:
        print(name, flush=True)
        record = build_backbone(name, arguments.folder / name)
        print(f"{name}: held-out loss {record['held_out_loss']}", flush=True)
    write_checksums(arguments.folder)


if __name__ == "__main__":
    main()
