"""`petscale stages`: versions of the stages, and whether the code that they stand for has changed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from petscale.errors import BadInput


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("stages", help="versions of the stages and the code that they stand for")
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--check", action="store_true", help="exit 2 when code changed without a bump or a waiver")
    change.add_argument("--bump", metavar="STAGE", help="its numbers may change: its cells rerun")
    change.add_argument("--waive", nargs=2, metavar=("STAGE", "WHY"), help="its numbers do not change, and why")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from petscale.study import stages

    path = Path(stages.__file__).with_name("stages.json")
    document: dict[str, Any] = json.loads(path.read_text())
    changed = [name for name in document if document[name]["code"] != stages.code_digest(name)]
    stage = args.bump or (args.waive or [None])[0]
    if stage is not None:
        if stage not in document:
            raise BadInput(f"petscale stages: no stage {stage!r}; there are {', '.join(document)}")
        entry = document[stage]
        entry["code"] = stages.code_digest(stage)
        if args.bump:
            entry["version"] += 1
            entry.pop("waivers", None)
        else:
            entry.setdefault("waivers", []).append(args.waive[1])
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        return 0
    for name, entry in document.items():
        print(f"{name:10} version {entry['version']}  code {entry['code']}{'  CHANGED' if name in changed else ''}")
    if args.check and changed:
        raise BadInput(
            f"{path.name}: code of {', '.join(changed)} changed: `petscale stages --bump STAGE` if numbers may change, "
            "`--waive STAGE WHY` if not"
        )
    return 0
