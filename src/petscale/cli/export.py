"""`petscale export`: the delta of a finished cell as a folder for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from petscale.cells.record import CellResult
    from petscale.tuning.plan import Plan


def add_parser(subparsers: Any) -> None:
    """Declare the options and arguments of `petscale export`."""
    parser = subparsers.add_parser("export", help="a trained delta as a folder for other tools")
    parser.add_argument("cell", help="a finished cell: its path, or its folder or result.json in any results folder")
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder to write; must be empty or absent")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Write the delta of a finished cell into an empty folder; return the exit code."""
    import json

    from safetensors.torch import save

    from petscale.artefacts.files import write_atomically
    from petscale.artefacts.layout import RECORD
    from petscale.cells.published import DELTA
    from petscale.cells.record import read_result
    from petscale.errors import BadInput
    from petscale.tuning.export import to_peft
    from petscale.tuning.files import load_delta, load_extra

    cell = _folder(args.cell)
    result = read_result(cell / RECORD)
    delta = cell / DELTA
    if args.dir.exists() and (not args.dir.is_dir() or any(args.dir.iterdir())):
        raise BadInput(f"{args.dir}: exists and is not an empty folder")
    plan, values = load_delta(delta)
    made = to_peft(plan, values, load_extra(delta), str(result.spec["backbone"]))
    if made is None:
        write_atomically(args.dir / DELTA, delta.read_bytes())
        use = _OWN_FORMAT
    else:
        # PEFT reads the format from the header of the file.
        write_atomically(args.dir / "adapter_model.safetensors", save(made.tensors, metadata={"format": "pt"}))
        write_atomically(args.dir / "adapter_config.json", json.dumps(made.config, indent=1, sort_keys=True) + "\n")
        use = _PEFT_FORMAT
    write_atomically(args.dir / "README.md", _readme(result, plan, use))
    print(f"{args.dir}: {'a folder for HF PEFT' if made else 'plain safetensors (PEFT has no such method)'}")
    return 0


def _folder(text: str) -> Path:
    """The folder of a cell that a user names by its path, its folder or its record."""
    from petscale.artefacts.layout import RECORD, Layout

    path, layout = Path(text), Layout()
    folder = path.parent if path.name == RECORD else path
    return folder if folder.is_dir() else Path(layout.cell(layout.named_cell(text)))


_PEFT_FORMAT = """
    from peft import PeftModel
    model = PeftModel.from_pretrained(backbone, "this folder")
"""

_OWN_FORMAT = """
    from pathlib import Path
    from petscale.tuning.files import load_delta
    from petscale.tuning.install import install

    plan, values = load_delta(Path("delta.safetensors"))
    delta = install(backbone, plan, seed=0)
    delta.load_state(values)

The file is plain safetensors. Its header holds the plan (key `plan`, JSON): for every tensor the site, the shape, and
the structure, quotas and seed of its mask; values stand in mask order (`petscale.tuning.masks.mask.Mask.indices`).
"""


def _readme(result: CellResult, plan: Plan, use: str) -> str:
    scores = ", ".join(f"{name} {score.value:.4f}" for name, score in result.test.items() if score.value is not None)
    return (
        f"# {result.cell}\n\n"
        f"{plan.method} on {result.spec['backbone']}: {plan.trainable:,} trained parameters. "
        f"Test: {scores or 'not scored'}.\n{use}"
    )
